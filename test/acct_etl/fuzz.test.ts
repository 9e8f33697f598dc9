/** Accounting that is damaged in every way: the process goes on, and no line is lost but those that are broken. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { sized } from '../support/soak.ts'
import { delivered, header, messageId, type Rig, setUp } from './rig.ts'

let rig: Rig
before(async () => {
  rig = await setUp()
})
after(() => rig.stop())

const seed = process.env['SOAK'] === '1' ? Date.now() % 1_000_000 : 20_260_219
let state = seed
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

/** Any bytes but LF, and but quotes: those may make one record of several lines, as CSV says. */
function rubbish(length: number, isQuoted: boolean): Buffer {
  const bytes = Buffer.from(Array.from({ length }, () => random(256)))
  return Buffer.from(bytes.map(byte => (byte === 0x0a || (!isQuoted && byte === 0x22) ? 0x00 : byte)))
}

function damaged(line: Buffer, isQuoted: boolean): Buffer {
  const at = random(line.length)
  switch (random(6)) {
    case 0:
      return line.subarray(0, at)
    case 1:
      return Buffer.concat([line, line])
    case 2:
      return Buffer.concat([line.subarray(0, at), rubbish(1 + random(4), isQuoted), line.subarray(at)])
    case 3:
      return Buffer.concat([line.subarray(0, at), line.subarray(at + 1 + random(8))])
    case 4:
      return rubbish(random(300), isQuoted)
    default:
      return Buffer.concat([line.subarray(0, at), rubbish(1, isQuoted), line.subarray(at + 1)])
  }
}

/** Damaged lines bear numbers from here on, so that none that is still readable is taken for a good one. */
const damagedFrom = 10_000_000

async function feed(lines: number, isQuoted: boolean): Promise<{ good: number[]; output: string }> {
  const etl = await rig.start()
  const { stdin } = etl.child
  assert.ok(stdin)
  stdin.write(`${header}\n`)
  const good: number[] = []
  for (let n = 0; n < lines; n++) {
    const isGood = random(3) === 0
    if (isGood) good.push(n)
    const line = Buffer.from(delivered(isGood ? n : damagedFrom + n, 1).trimEnd())
    const bytes = Buffer.concat([isGood ? line : damaged(line, isQuoted), Buffer.from(random(2) ? '\n' : '\r\n')])
    const cut = random(bytes.length)
    stdin.write(bytes.subarray(0, cut))
    if (!stdin.write(bytes.subarray(cut))) await once(stdin, 'drain')
  }
  stdin.end()
  const { code } = await etl.exited
  assert.equal(code, 0, `seed ${seed}: ${etl.output.stdout}${etl.output.stderr}`)
  return { good, output: etl.output.stdout }
}

test('every good line among damaged ones is stored, every other has one outcome', async () => {
  const lines = sized(5_000, 100_000)
  const { good, output } = await feed(lines, false)
  const ids = await rig.recordIds()
  const missing = good.filter(n => !ids.has(messageId(n)))
  assert.equal(missing.length, 0, `seed ${seed}: ${missing.length} good lines are missing, the first is ${missing[0]}`)
  const totals = JSON.parse(output.split('\n').find(line => line.includes('"ended"')) ?? '{}') as Record<string, number>
  const { record, other, untracked, rejected } = totals as Record<'record' | 'other' | 'untracked' | 'rejected', number>
  assert.ok(rejected > lines / 4, `${rejected} rejected`)
  // Damage may leave nothing of a line, or only its line end.
  const told = record + other + untracked + rejected
  assert.ok(told <= lines && told >= lines * 0.9, `${told} outcomes of ${lines} lines`)
  assert.ok((await rig.rejected()).length > 0)
})

test('quotes anywhere stop nothing', async () => {
  await feed(sized(2_000, 100_000), true)
  // What comes next is read as ever.
  const next = await rig.start([], `${header}\n${delivered(5_000_000, 10)}`)
  assert.equal((await next.exited).code, 0)
  assert.ok((await rig.recordIds()).has(messageId(5_000_009)))
})
