import type { Share } from '../../src/wire/framer.ts'

/** For who is alone in its process, or only reads what it has asked for. */
export const endlessShare: Share = { left: Number.POSITIVE_INFINITY, isUsedUp: () => false }
