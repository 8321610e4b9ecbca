import { useRef, useState } from 'preact/hooks'
import { Pools } from './pools.tsx'
import { Sessions } from './sessions.tsx'
import { Statements } from './statements.tsx'
import type { View } from './view.ts'

const tabs = [
  { name: 'Statements', Part: Statements },
  { name: 'Sessions', Part: Sessions },
  { name: 'Pools', Part: Pools },
] as const

/** Tabs by the ARIA practices' pattern: arrow keys choose, only the chosen one is asked for. */
export function Tables(view: View) {
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  const { Part, name } = tabs[at] ?? tabs[0]
  const choose = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    const next = (at + step + tabs.length) % tabs.length
    setAt(next)
    ;(list.current?.children[next] as HTMLElement | undefined)?.focus()
  }
  return (
    <section class="card tables" aria-label="Details">
      <div role="tablist" aria-label="Details" ref={list} onKeyDown={choose}>
        {tabs.map((tab, i) => (
          <button
            key={tab.name}
            type="button"
            role="tab"
            id={`tab-${tab.name}`}
            aria-selected={i === at}
            aria-controls="panel"
            tabIndex={i === at ? 0 : -1}
            onClick={() => setAt(i)}
          >
            {tab.name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="panel" aria-labelledby={`tab-${name}`}>
        <Part {...view} />
      </div>
    </section>
  )
}
