import type { StatementClass, TransactionModes } from '../sql/statement-class.ts'
import type { SessionMode } from './door.ts'
import { DoorError, notARead } from './door-error.ts'
import { isTransactionControl, readingOf } from './judge-text.ts'

/** Modes of the BEGIN that a transaction starts with. Throws DoorError 25P01, and 25006 for READ WRITE in a read session. */
export function modesOf(mode: SessionMode, { effects }: StatementClass): TransactionModes {
  const [effect] = effects
  if (effect?.kind !== 'begin') {
    throw new DoorError({
      sqlstate: '25P01',
      message: 'a transaction begins with BEGIN',
      hint: 'Use transaction() of the session.',
    })
  }
  if (mode === 'write') return effect.modes
  if (effect.modes.readOnly === false) throw notARead('a READ WRITE transaction')
  return { ...effect.modes, readOnly: true }
}

export function assertAllowed(mode: SessionMode, cls: StatementClass): void {
  if (mode === 'write' || isTransactionControl(cls) || readingOf(cls) !== 'no') return
  throw notARead(cls.reason)
}

/** `SET TRANSACTION` as the first statement belongs to the modes. */
export function joined(modes: TransactionModes, { effects }: StatementClass): TransactionModes {
  const [effect] = effects
  if (effect?.kind !== 'set-transaction') return modes
  return {
    isolation: effect.modes.isolation ?? modes.isolation,
    readOnly: modes.readOnly ?? effect.modes.readOnly,
    deferrable: effect.modes.deferrable ?? modes.deferrable,
  }
}

export function commits({ effects }: StatementClass): boolean {
  return effects.some(({ kind }) => kind === 'commit')
}

/** Made of words of our own only. */
export function beginText({ isolation, readOnly, deferrable }: TransactionModes): string {
  const modes = [
    ...(isolation === null ? [] : [`ISOLATION LEVEL ${isolation.toUpperCase()}`]),
    ...(readOnly === null ? [] : [readOnly ? 'READ ONLY' : 'READ WRITE']),
    ...(deferrable === null ? [] : [deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE']),
  ]
  return ['BEGIN', modes.join(', ')].join(' ').trim()
}

/** What statements are told in a transaction whose connection went, until ROLLBACK. */
export function wasLost(): DoorError {
  return new DoorError({
    sqlstate: '25P02',
    message: 'the connection of this transaction was lost; statements are ignored until ROLLBACK',
    hint: 'Run the transaction again from the start.',
  })
}

export function hasEnded(): DoorError {
  return new DoorError({
    sqlstate: '25P01',
    message: 'the transaction has ended',
    hint: 'Its object is of no use any more; begin another one.',
  })
}
