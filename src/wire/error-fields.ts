/** The fields of an ErrorResponse or NoticeResponse that pgsplit looks at. */
export interface ErrorFields {
  /** Untranslated severity (field V, else S). */
  readonly severity: string
  /** Five characters; 'XX000' when the server sent none (CVE-2026-6666: some do not). */
  readonly sqlstate: string
  readonly message: string
  readonly detail: string
  /** Untranslated name of the reporting C function (field R). */
  readonly routine: string
}

/** Decodes the body `buffer[start, end)` (behind the length word). Never throws on any bytes. */
export function decodeErrorFields(buffer: Buffer, start: number, end: number): ErrorFields {
  let severity = ''
  let fallback = ''
  let sqlstate = 'XX000'
  let message = ''
  let detail = ''
  let routine = ''
  let at = start
  while (at < end) {
    const code = buffer[at] as number
    if (code === 0) break
    let zero = buffer.indexOf(0, at + 1)
    if (zero < 0 || zero > end) zero = end
    const value = buffer.toString('utf8', at + 1, zero)
    if (code === 0x56) severity = value
    else if (code === 0x53) fallback = value
    else if (code === 0x43 && value.length === 5) sqlstate = value
    else if (code === 0x4d) message = value
    else if (code === 0x44) detail = value
    else if (code === 0x52) routine = value
    at = zero + 1
  }
  return { severity: severity || fallback, sqlstate, message, detail, routine }
}
