/**
 * The FATAL error in a chunk that begins with one (protocol-error-fields), as postgres.js would give
 * it, or null. Never throws, on any bytes.
 */
export function fatalIn(chunk: Buffer): Error | null {
  if (chunk[0] !== 0x45 || chunk.length < 6) return null
  const fields = new Map<string, string>()
  for (const field of chunk.toString('utf8', 5, chunk.readUInt32BE(1) + 1).split('\0')) {
    if (field !== '') fields.set(field.slice(0, 1), field.slice(1))
  }
  const severity = fields.get('V') ?? fields.get('S')
  if (severity !== 'FATAL' && severity !== 'PANIC') return null
  return Object.assign(new Error(fields.get('M') ?? 'the server has ended the connection'), {
    name: 'PostgresError',
    severity_local: fields.get('S'),
    severity,
    code: fields.get('C'),
    detail: fields.get('D'),
    hint: fields.get('H'),
    routine: fields.get('R'),
  })
}
