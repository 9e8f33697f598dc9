/** Appends to a log from eight sides for ever and tells each record that is safe, one a line. To be killed. */
import { writeSync } from 'node:fs'
import { SegmentLog } from '../../lib/durable/segment-log.ts'

const [dir = ''] = process.argv.slice(2)
const log = await SegmentLog.open({ dir, bytesMax: 1e9, segmentBytes: 20_000 })
const life = log.lastSeq
const writer = async (_: unknown, side: number) => {
  for (let n = 0; ; n++) {
    const text = `${life} ${side} ${n} ${'x'.repeat(n % 200)}`
    await log.append(Buffer.from(text))
    writeSync(1, `${text}\n`)
  }
}
await Promise.all(Array.from({ length: 8 }, writer))
