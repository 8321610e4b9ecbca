import type { StatementClass } from '../sql/statement-class.ts'
import type { Request } from './request.ts'

/** Executions that must have been seen before a statement may share a server connection. */
const minRuns = 4
/** A statement shares only while its slowest recent run, without what it waited, was below this, ms. */
const maxPeakMs = 25
/** … and its largest recent answer below this, bytes. */
const maxPeakBytes = 32 * 1024
/** Every so many runs the peaks are halved, so that one bad moment is forgotten. */
const decayRuns = 64

/**
 * May requests of several clients be pipelined on one server connection? Only short ones: behind a
 * long one all others would wait. What is short is learned by statement class.
 */
export function mayShare({ timing }: StatementClass): boolean {
  return timing.runs >= minRuns && timing.peakMs < maxPeakMs && timing.peakBytes < maxPeakBytes
}

/** Notes one successful run, which kept its server connection busy for `servedMs`. */
export function observe(request: Request, servedMs: number): void {
  const { timing } = request.cls
  timing.runs++
  if (servedMs > timing.peakMs) timing.peakMs = servedMs
  if (request.answerBytes > timing.peakBytes) timing.peakBytes = request.answerBytes
  if (timing.runs % decayRuns === 0) {
    timing.peakMs /= 2
    timing.peakBytes /= 2
  }
}
