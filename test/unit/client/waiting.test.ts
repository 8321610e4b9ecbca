import { describe, expect, it } from 'vitest'
import type { Request } from '../../../src/client/request.ts'
import { Waiting } from '../../../src/client/waiting.ts'

const request = {} as Request
const other = {} as Request

describe('what a request waits for', () => {
  it('is called off once, and not after it has come', () => {
    const waiting = new Waiting()
    let calledOff = 0
    const callOff = (): void => {
      calledOff++
      // What is called off may end it, too.
      waiting.endOf(request)
    }
    waiting.begin(request, callOff)
    expect([waiting.request, waiting.isFor(request), waiting.isFor(other)]).toEqual([
      request,
      true,
      false,
    ])
    expect([waiting.withdraw(), waiting.withdraw(), calledOff]).toEqual([request, null, 1])
    waiting.begin(request, callOff)
    waiting.end()
    expect([waiting.withdraw(), waiting.request, calledOff]).toEqual([null, null, 1])
  })

  it('may be what nobody can call off', () => {
    const waiting = new Waiting()
    waiting.begin(request, null)
    expect([waiting.withdraw(), waiting.request]).toEqual([null, request])
    waiting.endOf(other)
    expect(waiting.request).toBe(request)
    waiting.endOf(request)
    expect(waiting.request).toBeNull()
  })

  it('may be that it is alone', () => {
    const waiting = new Waiting()
    let went = 0
    const goOn = (): void => {
      expect(waiting.request).toBeNull()
      went++
    }
    waiting.noteAlone()
    waiting.beginUntilAlone(request, goOn)
    expect(waiting.isUntilAlone).toBe(true)
    waiting.noteAlone()
    waiting.noteAlone()
    expect([went, waiting.isUntilAlone]).toEqual([1, false])
    waiting.beginUntilAlone(request, goOn)
    expect(waiting.withdraw()).toBe(request)
    waiting.noteAlone()
    expect(went).toBe(1)
  })
})
