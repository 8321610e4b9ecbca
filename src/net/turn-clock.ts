let isInTurn = false
let turnMs = -1

/** A chunk is about to be handled. */
export function beginTurn(): void {
  isInTurn = true
  turnMs = -1
}

/** It has been handled. */
export function endTurn(): void {
  isInTurn = false
}

/**
 * Monotonic ms. While one chunk of a socket is handled it stands still: who asks for each of many
 * short answers would spend more time on the question than on the answer.
 */
export function nowMs(): number {
  if (!isInTurn) return performance.now()
  if (turnMs < 0) turnMs = performance.now()
  return turnMs
}
