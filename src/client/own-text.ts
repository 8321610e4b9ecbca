import type { ErrorFacts } from '../errors.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { type Edit, edited, namesStatements } from './named-text.ts'
import { OwnAnswers, refusalOfOwn, settleOwn, showsToken } from './own-answers.ts'
import { ownCommand, standInsOf } from './own-command.ts'
import type { ClientSession } from './session.ts'

/** A text some of whose statements pgsplit answers itself, as the server gets it. */
export interface OwnText {
  readonly original: Buffer
  readonly text: Buffer
  readonly edits: readonly Edit[]
  readonly cls: StatementClass
  readonly own: OwnAnswers
}

/**
 * Puts stand-ins in the place of own commands. `later`: a position has to be waited for; null: the
 * server must say what is wrong with the text. `from` is the number of its first statement, `own`
 * what is known of those in front.
 */
export function ownText(
  session: ClientSession,
  cls: StatementClass,
  original: Buffer,
  from = 0,
  own: OwnAnswers | null = null,
): OwnText | 'later' | null {
  const answers = own ?? new OwnAnswers()
  const refused = new Set<number>()
  for (const [number, part] of cls.parts.entries()) {
    const command = ownCommand(part)
    if (command === null) continue
    let error: ErrorFacts | null = null
    if (showsToken(command)) {
      if (session.inFlight.length > 0) return 'later'
      const settled = settleOwn(session)
      if (settled === null) return 'later'
      if (settled !== 'settled') error = settled
    }
    error ??= refusalOfOwn(session, command, cls.parts.slice(0, number))
    if (error === null) answers.add(from + number, command)
    else {
      answers.refuse(from + number, error)
      refused.add(number)
    }
  }
  const edits = standInsOf(cls, original, session.lexMode, refused)
  if (edits === null) return null
  const text = edited(original, edits)
  // Places of names are those in the text that the server gets.
  const classifier = session.scope.classifier
  const sent = namesStatements(cls)
    ? classifier.classify(text, 0, text.length, session.lexMode)
    : cls
  return { original, text, edits, cls: sent, own: answers }
}
