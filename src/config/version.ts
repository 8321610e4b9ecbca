import { readFileSync } from 'node:fs'

/** The version in package.json, the same for `src` and the built `dist`. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { readonly version?: unknown }
  return String(version)
}
