import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import type { Environment } from './interpolate.ts'
import { NodeUrlError } from './node-url-error.ts'

/** Whose password is looked for. */
export interface PasswordOwner {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
}

/** Larger ones are not password files, bytes. */
const maxFileBytes = 1024 * 1024

/**
 * The password that a connection string without one gets, where libpq finds it ("The Password File"):
 * PGPASSWORD, then the first line that fits of the file that `passfile`, PGPASSFILE or the home
 * directory names. Throws NodeUrlError for a `passfile` that can't be used; others are passed over.
 */
export function storedPassword(
  owner: PasswordOwner,
  { env, directory }: { readonly env: Environment; readonly directory: string },
  passfile: string | undefined,
): string | undefined {
  if (env.PGPASSWORD) return env.PGPASSWORD
  const file = passfile === undefined ? defaultFile(env) : place(passfile, directory)
  if (file === undefined) return undefined
  let text: string
  try {
    text = readSafely(file)
  } catch (error) {
    if (passfile === undefined) return undefined
    const why = error instanceof NodeUrlError ? error.message : 'it can not be read'
    throw new NodeUrlError(`the passfile ${file} is of no use: ${why}`)
  }
  return passwordIn(text, owner)
}

function place(file: string, directory: string): string {
  return isAbsolute(file) ? file : resolve(directory, file)
}

function defaultFile(env: Environment): string | undefined {
  if (env.PGPASSFILE) return env.PGPASSFILE
  if (process.platform === 'win32') {
    return env.APPDATA ? `${env.APPDATA}\\postgresql\\pgpass.conf` : undefined
  }
  return env.HOME ? `${env.HOME}/.pgpass` : undefined
}

function readSafely(file: string): string {
  const { mode, size } = statSync(file)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new NodeUrlError('others can read it; run chmod 600')
  }
  if (size > maxFileBytes) throw new NodeUrlError('it is larger than 1 MB')
  return readFileSync(file, 'utf8')
}

/** Exported for its tests. */
export function passwordIn(text: string, owner: PasswordOwner): string | undefined {
  const wanted = [owner.host, String(owner.port), owner.database, owner.user]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = fieldsOf(line)
    const password = fields[4]
    if (password === undefined || password === '') continue
    const fits = wanted.every((word, i) => fields[i] === '*' || unescaped(fields[i]) === word)
    if (fits) return unescaped(password)
  }
  return undefined
}

/** Colons that a backslash stands before are none; what is behind the fourth is the password. */
function fieldsOf(line: string): string[] {
  const fields: string[] = []
  const field = /((?:[^:\\]|\\.|\\$)*)(?::|$)/sy
  while (fields.length < 5 && field.lastIndex <= line.length) {
    const match = field.exec(line)
    if (match === null) break
    fields.push(match[1] ?? '')
    if (!match[0].endsWith(':')) break
  }
  return fields
}

function unescaped(text: string | undefined): string {
  return (text ?? '').replace(/\\(.)/gs, '$1')
}
