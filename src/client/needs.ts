import type { NameStep } from './named-text.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { Request } from './request.ts'

/** The message that comes next in the segment uses this statement. */
export function need(segment: Request, statement: PreparedStatement): void {
  for (const range of segment.parses) if (range.statement === statement) return
  // SQL PREPARE inside the segment.
  if (segment.steps?.some((step) => isOf(step, statement)) === true) return
  for (const known of segment.needs) if (known.statement === statement) return
  segment.addNeed({ statement, unit: segment.kinds.length, start: segment.size })
}

/** Does an earlier message of the segment say whether this statement is there in front? */
export function isKnown({ needs, steps }: Request, statement: PreparedStatement): boolean {
  return (
    needs.some((one) => one.statement === statement) ||
    steps?.some((earlier) => isOf(earlier, statement)) === true
  )
}

function isOf(step: NameStep, statement: PreparedStatement): boolean {
  return step.statement === statement && step.kind !== 'close'
}
