import { randomBytes } from 'node:crypto'
import { deriveScramKeys, hmac, type ScramVerifier } from './scram-keys.ts'

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

  #salt(user: string): Buffer {
    return hmac(this.#secret, `salt:${user}`).subarray(0, 16)
  }

  /** Verifier of a configured password, looking like the mock that an unknown user would get. */
  forPassword(user: string, password: string): Promise<ScramVerifier> {
    return deriveScramKeys(password, this.#salt(user), this.#iterations)
  }

  for(user: string): ScramVerifier {
    return {
      iterations: this.#iterations,
      salt: this.#salt(user),
      storedKey: hmac(this.#secret, `stored:${user}`),
      serverKey: hmac(this.#secret, `server:${user}`),
    }
  }
}
