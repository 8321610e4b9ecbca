import { describe, expect, it } from 'vitest'
import { Screen } from '../../../src/demo/screen.ts'

function output(isTTY: boolean) {
  const written: string[] = []
  return { written, isTTY, write: (text: string) => written.push(text) }
}

describe('the screen of the demo', () => {
  it('replaces the block on a terminal and writes lasting lines above it', () => {
    const out = output(true)
    const screen = new Screen(out)
    screen.print('hello')
    screen.show(['a', 'b'])
    screen.show(['c', 'd'])
    screen.print('error')
    screen.show(['e'])
    expect(out.written).toEqual([
      'hello\n',
      'a\nb\n',
      '\x1b[2A\x1b[0Jc\nd\n',
      '\x1b[2A\x1b[0Jerror\n',
      'e\n',
    ])
  })

  it('appends everything where the output is no terminal', () => {
    const out = output(false)
    const screen = new Screen(out)
    screen.show(['a'])
    screen.show(['b'])
    screen.print('end')
    expect(out.written).toEqual(['a\n', 'b\n', 'end\n'])
  })
})
