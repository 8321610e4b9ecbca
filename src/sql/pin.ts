/** Why a session that has run a statement must keep its server connection. */
export interface Pin {
  /** One clause, for people: nothing is decided by its words. */
  readonly why: string
  /**
   * What pins are effects of the statement, which tell when it ends. False: the statement itself
   * does, and nothing tells when that ends.
   */
  readonly isOfEffects: boolean
}

/** A pin of which nothing tells when it ends. */
export function lastingPin(why: string): Pin {
  return { why, isOfEffects: false }
}

export function pinOfEffects(why: string): Pin {
  return { why, isOfEffects: true }
}
