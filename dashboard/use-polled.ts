import { useEffect, useState } from 'preact/hooks'

/** What `ask` gives, asked again every `everyMs` while the page is looked at; null: nothing yet. */
export function usePolled<T>(ask: () => Promise<T>, everyMs: number, key: string): T | null {
  const [value, setValue] = useState<T | null>(null)
  useEffect(() => {
    let isOver = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const again = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const given = await ask()
          if (!isOver) setValue(() => given)
        } catch {
          // The stream of seconds tells what is wrong; what was known stays.
        }
      }
      if (!isOver) timer = setTimeout(() => void again(), everyMs)
    }
    void again()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [key, everyMs])
  return value
}
