/** Writes the configuration reference into README.md: `node test/support/write-reference.ts`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { withReference } from '../../src/config/reference.ts'

const file = new URL('../../README.md', import.meta.url)
const text = withReference(readFileSync(file, 'utf8'))
if (text === undefined) throw new Error('README.md has lost the marks of its reference')
writeFileSync(file, text)
