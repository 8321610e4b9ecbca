/**
 * What "cached plan must not change result type" is about (PostgreSQL: equalRowTypes): names, types
 * and type modifiers of the columns in the RowDescription `body`; not the tables they come from, nor
 * formats. Empty for NoData; null for bytes that are no RowDescription.
 */
export function resultShape(body: Buffer): Buffer | null {
  if (body.length === 0) return body
  const shape = Buffer.from(body)
  let at = 2
  for (let left = body.length < 2 ? 0 : body.readUInt16BE(0); left > 0; left--) {
    const name = body.indexOf(0, at)
    if (name < 0 || name + 19 > body.length) return null
    // Table, column number; … format.
    shape.fill(0, name + 1, name + 7)
    shape.fill(0, name + 17, name + 19)
    at = name + 19
  }
  return shape
}
