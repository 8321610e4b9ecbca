// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is the configuration's syntax
import { describe, expect, it } from 'vitest'
import { interpolate } from '../../../src/config/interpolate.ts'
import { ConfigError } from '../../../src/errors.ts'

const env = { NAME: 'ada', EMPTY: '', PW: 'p@ss/w:rd %', URL: 'postgres://u:p@h' }

describe('interpolation', () => {
  it.each([
    ['${NAME}', 'ada'],
    ['a ${NAME} and ${NAME}', 'a ada and ada'],
    ['${NONE:-x}', 'x'],
    ['${EMPTY:-x}', 'x'],
    ['${NONE:-}', ''],
    ['$${NAME}', '${NAME}'],
    ['a$$b$', 'a$$b$'],
    ['SCRAM-SHA-256$4096:x$y:z', 'SCRAM-SHA-256$4096:x$y:z'],
    ['${URL}', 'postgres://u:p@h'],
    ['postgres://u:${PW}@h/${NAME}', 'postgres://u:p%40ss%2Fw%3Ard%20%25@h/ada'],
    ['postgres://${HOSTPORT:-h:1}/d', 'postgres://h:1/d'],
  ])('%s becomes %s', (text, value) => {
    expect(interpolate(text, { env, directory: '.' })).toBe(value)
  })

  it('reaches every string of lists and sections, keeps other values and drops empty sections', () => {
    const value = { a: ['${NAME}', 1], b: { c: '${NAME}', d: true }, e: null }
    expect(interpolate(value, { env, directory: '.' })).toEqual({
      a: ['ada', 1],
      b: { c: 'ada', d: true },
    })
  })

  it('names the path of a variable that is missing', () => {
    expect(() => interpolate({ a: [{ b: '${NONE}' }] }, { env, directory: '.' })).toThrow(
      new ConfigError(
        'a[0].b',
        'the environment variable NONE is not set or empty; set it or write ${NONE:-default}',
      ),
    )
  })

  it('refuses an opened brace without a name', () => {
    expect(() => interpolate({ a: '${' }, { env, directory: '.' })).toThrow(
      'a: "${" without a variable name',
    )
  })

  it('refuses what is nested without end', () => {
    let value: unknown = 'x'
    for (let depth = 0; depth < 100; depth++) value = [value]
    expect(() => interpolate(value, { env, directory: '.' })).toThrow('nested too deeply')
  })

  it('does not take a key of the value for a prototype', () => {
    const value = JSON.parse('{"__proto__": {"polluted": "${NAME}"}}')
    interpolate(value, { env, directory: '.' })
    expect({}).not.toHaveProperty('polluted')
  })
})
