import { type Balancer, firstOf } from './balancer.ts'

/**
 * Rendezvous hashing of the client's address: a client keeps its replica, and when a node goes
 * only its own clients move. Weighted by −w / ln(u), which gives each node its share exactly
 * (Schindelhauer and Schomaker, "Weighted distributed hash tables").
 */
export function ipHash(): Balancer {
  return {
    name: 'ip-hash',
    wantsAway: () => false,
    pick(candidates, _load, key) {
      let chosen = firstOf(candidates)
      let best = -1
      for (let i = 0; i < candidates.length; i++) {
        const node = candidates[i]
        if (node === undefined) continue
        const score = -node.effectiveWeight / Math.log(unit(mix(key ^ node.idHash)))
        if (score > best) {
          best = score
          chosen = node
        }
      }
      return chosen
    },
  }
}

/** The finaliser of MurmurHash3: every bit of the input moves every bit of the output. */
function mix(value: number): number {
  let h = value >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Into the open interval from 0 to 1: neither end has a finite score. */
function unit(hash: number): number {
  return (hash + 0.5) / 0x1_0000_0000
}
