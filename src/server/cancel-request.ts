import { noServerTls, type ServerTls } from '../net/tls-options.ts'
import { cancelRequest } from '../wire/frontend-messages.ts'
import {
  type Dial,
  type DialTarget,
  type Encryption,
  encryptions,
  openChannel,
} from './connect-channel.ts'
import { ConnectError } from './connect-error.ts'

export interface CancelOptions {
  readonly target: DialTarget
  readonly processId: number
  readonly secretKey: Uint8Array
  readonly tls?: ServerTls
  /** Until the server has closed the connection, which says that the signal was sent. Default 5,000 ms. */
  readonly timeoutMs?: number
  readonly dial?: Dial
}

/**
 * Sends a CancelRequest on a connection of its own, with TLS as for a log-in. Resolves when the
 * server has closed it: the signal is on its way then, though what it hits may have ended. Rejects
 * with ConnectError.
 */
export async function cancelServer(options: CancelOptions): Promise<void> {
  const { tls = noServerTls, timeoutMs = 5_000 } = options
  const deadline = performance.now() + timeoutMs
  const tries = encryptions(tls)
  for (let i = 0; ; i++) {
    try {
      await cancelOnce(options, tls, tries[i] as Encryption, deadline)
      return
    } catch (error) {
      const isTls = error instanceof ConnectError && error.failure === 'tls'
      if (!isTls || i + 1 >= tries.length) throw error
    }
  }
}

async function cancelOnce(
  options: CancelOptions,
  tls: ServerTls,
  encryption: Encryption,
  deadline: number,
): Promise<void> {
  const opened = await openChannel(options.target, tls, encryption, deadline, options)
  const { channel } = opened
  try {
    channel.send(cancelRequest(options.processId, options.secretKey))
    channel.link.flush()
    await channel.readByte()
  } catch (error) {
    if (error instanceof ConnectError) throw error
  } finally {
    opened.stopClock()
    channel.link.destroy()
  }
}
