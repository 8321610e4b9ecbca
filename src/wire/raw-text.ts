/**
 * Text of a client is bytes in its own encoding. As a string it is UTF-8 where it is valid UTF-8;
 * else each byte from 0x80 on is a lone surrogate (U+DC00 + byte), so that it can be said again as it
 * came (the idea is Python's, PEP 383).
 */
export function decodeText(buffer: Buffer, start: number, end: number): string {
  const text = buffer.toString('utf8', start, end)
  if (!text.includes('\ufffd') || Buffer.from(text).equals(buffer.subarray(start, end))) return text
  const raw = buffer.toString('latin1', start, end)
  return raw.replace(/[\x80-\xff]/g, (char) => String.fromCharCode(0xdc00 + char.charCodeAt(0)))
}

/** The bytes that `decodeText` has made `text` of. */
export function encodeText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text)
  const raw = text.replace(/[\udc80-\udcff]/g, (char) =>
    String.fromCharCode(char.charCodeAt(0) - 0xdc00),
  )
  return Buffer.from(raw, 'latin1')
}
