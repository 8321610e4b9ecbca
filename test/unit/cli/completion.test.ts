import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { FakeProcess } from './fake-io.ts'

const folder = mkdtempSync(join(tmpdir(), 'pgsplit-completion-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const has = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0

async function printed(what: string): Promise<string> {
  const process = new FakeProcess()
  expect(await process.run(['completion', what])).toBe(0)
  return process.out.join('\n')
}

/** What a program says of a script, with the file that `pgsplit completion` has printed as `$1`. */
async function ask(what: string, program: string, ...args: readonly string[]): Promise<string[]> {
  const file = join(folder, what)
  writeFileSync(file, await printed(what))
  const { stdout, stderr, status } = spawnSync(program, [...args, file], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout.trim().split('\n')
}

/** A line that is being typed, and some of what must be offered for its last word, and may not. */
const lines: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['pgsplit ', ['serve', 'demo', 'setup', 'init', 'check', 'explain', 'completion'], ['--primary']],
  ['pgsplit se', ['serve', 'setup'], ['demo']],
  ['pgsplit serve --pri', ['--primary'], ['--replica']],
  ['pgsplit serve --pool-mode ', ['transaction', 'session'], ['serve']],
  ['pgsplit check --balancer l', ['latency', 'least-connections'], ['round-robin']],
  ['pgsplit completion ', ['bash', 'zsh', 'fish', 'man'], ['serve']],
  ['pgsplit config --', ['--schema', '--reference'], ['--primary']],
]

describe.skipIf(!has('bash'))('completions of bash', () => {
  it.each(lines)('%j', async (line, some, none) => {
    const words = line.split(' ').map((word) => `'${word}'`)
    const script = `source "$0"; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}
      _pgsplit; printf '%s\\n' "\${COMPREPLY[@]}"`
    const offered = await ask('bash', 'bash', '-uc', script)
    expect(offered).toEqual(expect.arrayContaining([...some]))
    for (const word of none) expect(offered).not.toContain(word)
  })
})

describe.skipIf(!has('fish'))('completions of fish (needs fish)', () => {
  it.each(lines)('%j', async (line, some, none) => {
    const script = `source $argv[1]; complete -C '${line}'`
    const offered = await ask('fish', 'fish', '--no-config', '-c', script)
    const words = offered.map((one) => one.split('\t')[0])
    expect(words).toEqual(expect.arrayContaining([...some]))
    for (const word of none) expect(words).not.toContain(word)
  })
})

describe.skipIf(!has('zsh'))('completions of zsh (needs zsh)', () => {
  it.each(lines)('%j', async (line, some, none) => {
    // A terminal of its own, in which the line is typed and Tab is pressed twice for the list.
    const script = `zmodload zsh/zpty; zpty z zsh -fi
      zpty -w z 'PS1= ; autoload -Uz compinit; compinit -D; source '$1'; bindkey "^I" list-choices'
      zpty -w z "zstyle ':completion:*' list-prompt ''; LISTMAX=9999; stty columns 200; echo re''ady"
      zpty -r z out '*ready*2004h*'
      zpty -w -n z '${line}'$'\\t'
      zpty -w -n z $'\\x15echo do''ne\\n'
      zpty -r z out '*done*'; print -r -- $out; zpty -d z`
    const file = join(folder, 'zsh')
    writeFileSync(file, await printed('zsh'))
    const { stdout } = spawnSync('zsh', ['-fc', script, 'zsh', file], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    const offered = stdout.replace(/\u001b\[[0-9;?]*[a-zA-Z]/g, ' ').split(/[\s]+/)
    for (const word of some) expect(offered).toContain(word)
    for (const word of none.filter((one) => !line.includes(one)))
      expect(offered).not.toContain(word)
  })
})

describe('the manual page', () => {
  it('has every command and flag, and nothing that roff takes for something else', async () => {
    const page = await printed('man')
    for (const command of ['serve', 'demo', 'setup', 'init', 'check', 'explain', 'advise']) {
      expect(page).toContain(`.SS pgsplit ${command} [options]`)
    }
    expect(page).toContain('\\fB\\-\\-http\\-listen\\fR \\fIhost:port\\fR')
    expect(page.split('\n').filter((line) => /^['.](?!TH |SH |SS |TP$)/.test(line))).toEqual([])
  })

  it.skipIf(!has('man'))('is shown by man without a complaint', async () => {
    const file = join(folder, 'pgsplit.1')
    writeFileSync(file, `${await printed('man')}\n`)
    const { stdout, stderr, status } = spawnSync('man', ['--warnings', '-l', file], {
      encoding: 'utf8',
      env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '80' },
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('--balancer')
  })
})

it('a shell that it does not know is a mistake in the command line', async () => {
  const process = new FakeProcess()
  expect(await process.run(['completion', 'tcsh'])).toBe(2)
  expect(process.err.join()).toContain('Allowed choices are bash, zsh, fish, man')
})
