import { TestingError } from './testing-error.ts'

/** `max_wal_senders` leaves room for so many. */
const MOST_REPLICAS = 15

/** The number of replicas of the options, 1 if not said. Throws TestingError. */
export function replicaCount(replicas = 1): number {
  if (Number.isInteger(replicas) && replicas >= 0 && replicas <= MOST_REPLICAS) return replicas
  throw new TestingError(`replicas is ${replicas}; give a number from 0 to ${MOST_REPLICAS}`)
}
