import { randomBytes } from 'node:crypto'
import { hmac, type ScramVerifier } from './scram-keys.ts'

/**
 * Verifiers for users that don't exist (PostgreSQL's mock authentication): the same user gets the
 * same salt every time, so that nobody learns from a second try who exists. No proof can match: the
 * keys are pseudo-random.
 *
 * `secret` should be the same in all workers and, where several instances serve the same users, in
 * all instances; `iterations` what the cluster's `scram_iterations` is.
 */
export class MockVerifiers {
  #secret: Buffer
  #iterations: number

  constructor(secret: Buffer = randomBytes(32), iterations = 4096) {
    this.#secret = secret
    this.#iterations = iterations
  }

  for(user: string): ScramVerifier {
    return {
      iterations: this.#iterations,
      salt: hmac(this.#secret, `salt:${user}`).subarray(0, 16),
      storedKey: hmac(this.#secret, `stored:${user}`),
      serverKey: hmac(this.#secret, `server:${user}`),
    }
  }
}
