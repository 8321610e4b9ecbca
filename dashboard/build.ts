/**
 * Makes `dist/dashboard/` of what is here: one script, one style sheet, the page. `npm run build` and
 * `npm run demo` run it. `node dashboard/build.ts DIRECTORY` puts it elsewhere.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('.', import.meta.url))
const to = process.argv[2] ?? fileURLToPath(new URL('../dist/dashboard/', import.meta.url))

/** Whole or not at all: somebody may be reading. */
function put(name: string, bytes: string | Uint8Array): void {
  const fresh = join(to, `.${name}.${process.pid}`)
  writeFileSync(fresh, bytes)
  renameSync(fresh, join(to, name))
}

mkdirSync(to, { recursive: true })
const { outputFiles } = await build({
  entryPoints: [join(here, 'main.tsx')],
  bundle: true,
  minify: true,
  write: false,
  outfile: join(to, 'main.js'),
  format: 'esm',
  target: ['chrome111', 'firefox121', 'safari16.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
})
for (const { path, contents } of outputFiles)
  put(path.endsWith('.css') ? 'main.css' : 'main.js', contents)
for (const name of ['index.html', 'icon.svg']) put(name, readFileSync(join(here, name)))
// What is in the bundle wants its licence beside it.
const licences = ['preact', 'uplot'].map((name) => {
  const directory = fileURLToPath(new URL('../', import.meta.resolve(`${name}/package.json`)))
  return `${name}\n\n${readFileSync(join(directory, name, 'LICENSE'), 'utf8')}`
})
put('licences.txt', licences.join('\n---\n\n'))
