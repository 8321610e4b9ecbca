import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { gzipSync } from 'node:zlib'

/** A file of the dashboard, in memory. */
export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly gzipped: Uint8Array<ArrayBuffer>
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** From `src` and from `dist` it is the same. */
const place = '../../dist/dashboard/'

let loaded: ReadonlyMap<string, PageFile> | null = null

/** The dashboard's files by their paths, `/` its page; empty where it was not built. */
export function pageFiles(): ReadonlyMap<string, PageFile> {
  if (loaded !== null) return loaded
  const files = new Map<string, PageFile>()
  // A bundle has none, and as CommonJS doesn't know where it is.
  const here: string | undefined = import.meta.url
  if (here === undefined) return files
  const directory = new URL(place, here)
  for (const name of namesIn(directory)) {
    const bytes = new Uint8Array(readFileSync(new URL(name, directory)))
    const type = types[extname(name)]
    if (type === undefined) continue
    const file = { type, bytes, gzipped: new Uint8Array(gzipSync(bytes, { level: 9 })) }
    files.set(name === 'index.html' ? '/' : `/${name}`, file)
  }
  if (files.size > 0) loaded = files
  return files
}

function namesIn(where: URL): string[] {
  try {
    return readdirSync(where)
  } catch {
    return []
  }
}
