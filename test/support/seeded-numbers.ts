/** Gives whole numbers below its argument that are the same in every run with this seed. */
export type Random = (below: number) => number

export function seededNumbers(seed: number): Random {
  let state = seed | 0
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >>> 8) % below
  }
}

export function oneOf<T>(random: Random, list: readonly T[]): T {
  const item = list[random(list.length)]
  if (item === undefined) throw new Error('nothing to choose from')
  return item
}
