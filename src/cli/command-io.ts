import type { Environment } from '../config/interpolate.ts'

/** What a command may touch of the process, so that tests can give it something else. */
export interface CommandIo {
  readonly env: Environment
  readonly stdin: AsyncIterable<string | Uint8Array>
  readonly print: (line: string) => void
  readonly complain: (line: string) => void
  /** Calls back for each SIGTERM or SIGINT; gives the way to stop listening. */
  readonly onStopSignal: (heard: () => void) => () => void
  /** The same for SIGHUP. */
  readonly onReloadSignal: (heard: () => void) => () => void
}

/** A failure that has already been told; the process ends with this code and says nothing more. */
export class ExitWith extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit code ${code}`)
    this.code = code
  }
}
