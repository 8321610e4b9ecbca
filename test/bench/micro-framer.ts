/** What cutting a byte stream into frames costs: `node test/bench/micro-framer.ts`. */
import { Framer } from '../../src/wire/framer.ts'
import { Writer } from '../../src/wire/writer.ts'
import { endlessShare } from '../support/endless-share.ts'

const rounds = 200_000

function answer(rows: number, rowBytes: number): Buffer {
  const writer = new Writer(1024)
  writer.begin(0x54).bytes(Buffer.alloc(26)).end()
  for (let i = 0; i < rows; i++) writer.begin(0x44).bytes(Buffer.alloc(rowBytes)).end()
  writer.begin(0x43).string(`SELECT ${rows}`).end().begin(0x5a).byte(0x49).end()
  return writer.take()
}

/** Best of five, ns per chunk; `parts` chunks of equal size are pushed in turn. */
function measure(bytes: Buffer, parts: number): { nsPerAnswer: number; frames: number } {
  let frames = 0
  const sink = {
    isWhole: (_type: number, size: number) => size <= 256,
    onFrame: () => {
      frames++
    },
    onPart: () => {},
  }
  const size = Math.ceil(bytes.length / parts)
  const chunks = Array.from({ length: parts }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < 5; run++) {
    const framer = new Framer(sink, 0x7fffffff)
    const start = process.hrtime.bigint()
    for (let i = 0; i < rounds; i++) for (const chunk of chunks) framer.push(chunk, endlessShare)
    best = Math.min(best, Number(process.hrtime.bigint() - start) / rounds)
  }
  return { nsPerAnswer: best, frames: frames / rounds / 5 }
}

const cases: readonly [string, Buffer, number][] = [
  ['pgbench -S, one chunk', answer(1, 12), 1],
  ['pgbench -S, cut in three', answer(1, 12), 3],
  ['100 rows of 100 bytes, one chunk', answer(100, 100), 1],
  ['10 rows of 6 kB, one chunk', answer(10, 6_000), 1],
]
for (const [name, bytes, parts] of cases) {
  const { nsPerAnswer, frames } = measure(bytes, parts)
  const perFrame = (nsPerAnswer / frames).toFixed(0)
  console.log(`${name.padEnd(36)} ${nsPerAnswer.toFixed(0).padStart(7)} ns, ${perFrame} ns a frame`)
}
