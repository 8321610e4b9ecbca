import { turnLimits } from '../../src/net/turn-share.ts'

// A turn gives each peer one message. What is cut short so must come out as if it had been handled
// at once.
Object.assign(turnLimits, { steps: 1, shareMs: 0, turnMs: Number.POSITIVE_INFINITY })
