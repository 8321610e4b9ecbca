const HEADER_BYTES = 8

/**
 * The text of a container's log as engines send it without a terminal: blocks of a header, whose
 * last four bytes are the length, and text (Docker Engine API, "Attach to a container").
 */
export function logText(log: Buffer): string {
  const blocks: Buffer[] = []
  for (let at = 0; at + HEADER_BYTES <= log.length; ) {
    const end = at + HEADER_BYTES + log.readUInt32BE(at + 4)
    blocks.push(log.subarray(at + HEADER_BYTES, end))
    at = end
  }
  return Buffer.concat(blocks).toString('utf8').trimEnd()
}
