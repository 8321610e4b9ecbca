import type { Tick } from '../history/recorder.ts'
import type { HttpRole, HttpSource } from './http-source.ts'

/** Dashboards at a time. */
const mostStreams = 32
/** Then who looks has to ask again: it may have lost its right to. */
const longestMs = 300_000
/** Who has not taken so many ticks is gone, or too slow. */
const mostMissed = 20

interface Viewer {
  readonly who: string
  readonly role: HttpRole
}

/** What each second brings, as server-sent events (HTML, "Server-sent events"), encoded once for all. */
export class LiveStreams {
  readonly #source: HttpSource
  #open = 0
  #encoded: { readonly tick: Tick; readonly bytes: Uint8Array<ArrayBuffer> } | null = null

  constructor(source: HttpSource) {
    this.#source = source
  }

  /** First `hello` with who looks and all that a newcomer must know, then a `tick` each second; null: too many look. */
  open(viewer: Viewer): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#open >= mostStreams) return null
    this.#open++
    let end = (): void => {}
    return new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          let missed = 0
          const unsubscribe = this.#source.recorder.subscribe((tick) => {
            if ((controller.desiredSize ?? 0) > 0) {
              missed = 0
              controller.enqueue(this.#bytesOf(tick))
            } else if (++missed >= mostMissed) close()
          })
          const timer = setTimeout(() => close(), longestMs).unref()
          end = () => {
            unsubscribe()
            clearTimeout(timer)
            end = () => {}
            this.#open--
          }
          const close = (): void => {
            end()
            controller.close()
          }
          controller.enqueue(encode('hello', this.#hello(viewer)))
        },
        cancel: () => end(),
      },
      // A few ticks, the hello among them.
      new CountQueuingStrategy({ highWaterMark: 4 }),
    )
  }

  #hello(viewer: Viewer) {
    const { admin, recorder } = this.#source
    return { ...viewer, version: admin.version(), state: admin.state(), now: recorder.now() }
  }

  #bytesOf(tick: Tick): Uint8Array<ArrayBuffer> {
    if (this.#encoded?.tick !== tick) {
      const bytes = encode('tick', { ...tick, state: this.#source.admin.state() })
      this.#encoded = { tick, bytes }
    }
    return this.#encoded.bytes
  }
}

function encode(event: string, data: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}
