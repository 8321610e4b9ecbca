import {
  defaultVisibleWaitMs,
  notVisible,
  type Visibility,
  type VisibleCommits,
} from '../routing/visible-commits.ts'
import { noticeResponse } from '../wire/backend-messages.ts'

/**
 * `pgsplit.commit_visible`: the ReadyForQuery behind a commit, and what comes after it, waits until
 * replicas show what was committed.
 */
export class CommitGate {
  readonly #visible: VisibleCommits
  readonly #say: (bytes: Uint8Array) => void
  /** What goes to the client later; null: nothing is held. */
  #held: Buffer[] | null = null
  #withdraw: (() => void) | null = null
  #visibility: Visibility = { replicas: 0, waitMs: defaultVisibleWaitMs }

  constructor(visible: VisibleCommits, say: (bytes: Uint8Array) => void) {
    this.#visible = visible
    this.#say = say
  }

  get visibility(): Visibility {
    return this.#visibility
  }

  set(change: Partial<Visibility>): void {
    this.#visibility = { ...this.#visibility, ...change }
  }

  get isHolding(): boolean {
    return this.#held !== null
  }

  /** A commit was done. `goOn` is called when its end has gone out. */
  close(visibility: Visibility, goOn: () => void): void {
    if (visibility.replicas === 0 || this.#held !== null) return
    this.#held = []
    this.#withdraw = this.#visible.wait(visibility, (missing) => {
      this.#withdraw = null
      if (missing !== null) {
        const message = notVisible(missing, visibility.waitMs)
        this.#say(
          noticeResponse('WARNING', {
            sqlstate: '01000',
            message,
            hint: 'Reads of this session see it. SHOW NODES in the admin database tells how far each replica is.',
          }),
        )
      }
      this.open()
      goOn()
    })
  }

  /** True: the bytes were kept. */
  hold(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#held === null) return false
    this.#held.push(Buffer.from(bytes.subarray(start, end)))
    return true
  }

  /** Nothing is waited for any more: what is held goes out. */
  open(): void {
    this.#withdraw?.()
    this.#withdraw = null
    const held = this.#held ?? []
    this.#held = null
    for (const bytes of held) this.#say(bytes)
  }

  /** The client is gone. */
  drop(): void {
    this.#withdraw?.()
    this.#withdraw = null
    this.#held = null
  }
}
