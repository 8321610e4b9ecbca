import { useEffect, useRef, useState } from 'preact/hooks'
import { type Api, ApiError } from './api.ts'

interface Choice {
  readonly action: string
  readonly name: string
  readonly text: string
  readonly body: object
  /** Takes a duration as `duration`. */
  readonly takesDuration?: boolean
}

/** What an operator is asked before something is done. */
export interface Question {
  readonly title: string
  readonly choices: readonly Choice[]
}

interface DialogProps {
  readonly api: Api
  readonly question: Question
  readonly onEnd: () => void
}

/** Nothing is done before its main button is pressed; Escape and Cancel leave it. */
export function ActionDialog({ api, question, onEnd }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const abort = useRef(new AbortController())
  const [at, setAt] = useState(0)
  const [duration, setDuration] = useState('5min')
  const [isBusy, setBusy] = useState(false)
  const [said, say] = useState<{ isBad: boolean; text: string } | null>(null)
  useEffect(() => dialog.current?.showModal(), [])
  useEffect(() => () => abort.current.abort(), [])
  const choice = question.choices[at] ?? question.choices[0]
  if (choice === undefined) return null
  const run = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    setBusy(true)
    say(null)
    const timed = duration.trim() === '' ? {} : { duration: duration.trim() }
    const body = choice.takesDuration === true ? { ...choice.body, ...timed } : choice.body
    try {
      const notices = await api.act(choice.action, body, abort.current.signal)
      if (notices.length === 0) onEnd()
      else say({ isBad: false, text: notices.join('\n') })
    } catch (error) {
      if (abort.current.signal.aborted) return
      const hint = error instanceof ApiError ? error.hint : undefined
      say({ isBad: true, text: [(error as Error).message, hint].filter(Boolean).join('. ') })
    } finally {
      setBusy(false)
    }
  }
  const isDone = said !== null && !said.isBad
  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={onEnd}>
      <form onSubmit={run}>
        <h2 id="question">{question.title}</h2>
        {question.choices.length > 1 && (
          <fieldset class="choice">
            <legend class="hidden">What to do</legend>
            {question.choices.map(({ name }, i) => (
              <label key={name}>
                <input type="radio" name="what" checked={i === at} onChange={() => setAt(i)} />
                {name}
              </label>
            ))}
          </fieldset>
        )}
        <p>{choice.text}</p>
        {choice.takesDuration === true && (
          <label>
            For how long (empty: until it is lifted)
            <input value={duration} onInput={(event) => setDuration(event.currentTarget.value)} />
          </label>
        )}
        <p role="status" class={said?.isBad === true ? 'bad' : 'quiet'}>
          {isBusy ? 'Waiting for pgsplit …' : (said?.text ?? '')}
        </p>
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            {isDone ? 'Close' : 'Cancel'}
          </button>
          {!isDone && (
            <button class="main" type="submit" disabled={isBusy}>
              {choice.name}
            </button>
          )}
        </div>
      </form>
    </dialog>
  )
}
