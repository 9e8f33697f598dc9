import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { until } from '../../../test/support/process.ts'
import { MemoryFileSystem } from '../../../test/support/memory-file-system.ts'
import { DeadLettersFull } from '../upload/dead-letters.ts'
import { SegmentLog, type Damage } from '../../durable/segment-log.ts'
import { Health } from '../../process/health.ts'
import type { ApiEvent } from './api-event.ts'
import { EventUpload } from './event-upload.ts'
import { encodePending } from './pending-record.ts'

const eventOf = (n: number): ApiEvent => ({
  message_id: `message ${n}`,
  event_type: 'delivered',
  smtp_description: '250 ok',
  recipient: 'a@example.com',
})

/** @param refuses whether the service refuses every event, and no dead letter has room */
async function setUp(refuses = false) {
  const disk = new MemoryFileSystem()
  const damages: Damage[] = []
  const pending = await SegmentLog.open({
    dir: 'pending',
    bytesMax: 1e6,
    segmentBytes: 1_000,
    files: disk.files,
    lock: async () => ({ release: async () => undefined }),
    onDamage: damage => damages.push(damage),
  })
  const sent: string[] = []
  const lines: string[] = []
  const health = new Health()
  const upload = new EventUpload({
    pending,
    uploader: {
      upload: async events => {
        sent.push(...events.map(event => (JSON.parse(event) as ApiEvent).message_id))
        const refused = refuses ? events.map(item => ({ item, reason: 'HTTP 400' })) : []
        return { accepted: refuses ? [] : [...events], refused, unsent: [], batches: [] }
      },
      stop: () => undefined,
    },
    deadLetters: {
      append: async () => {
        throw new DeadLettersFull('the folder holds all that it may')
      },
    },
    batchEvents: 10,
    batchAgeMs: 5,
    log: pino({}, { write: (line: string) => lines.push(line) }),
    health,
    metrics: new Registry(),
  })
  let made = 0
  const add = async (count: number) => {
    for (let i = 0; i < count; i++) {
      await pending.append(encodePending({ events: [JSON.stringify(eventOf(made++))] }))
      upload.added(1)
    }
  }
  const messages = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `message ${from + i}`)
  const segments = () => disk.paths().filter(path => path.endsWith('.segment'))
  return { disk, damages, pending, sent, lines, health, upload, add, messages, segments }
}

describe('EventUpload', () => {
  it('waits for pending events that can not be read at the moment, without spinning, and sends them all', async () => {
    const { disk, damages, pending, sent, lines, health, upload, add, messages } = await setUp()
    await add(30)
    let tries = 0
    disk.fault = operation => {
      if (operation !== 'open') return undefined
      tries++
      return 'EMFILE'
    }
    upload.start()
    await until('health to say so', () => /EMFILE.*nothing is lost/.test(health.report().reasons['pending'] ?? ''))
    await until('a second try', () => tries > 1)
    assert.ok(tries <= 3, `${tries} tries`)
    assert.equal(lines.filter(line => line.includes('can not be read')).length, 1)
    disk.fault = () => undefined
    await until('all to be released', () => pending.firstSeq === 31)
    assert.deepEqual(sent, messages(0, 30))
    assert.deepEqual(health.report().reasons, {})
    assert.deepEqual(damages, [])
    await upload.close(1_000)
  })
  it('passes what is damaged, told once, and sends what comes after', async () => {
    const { disk, damages, pending, sent, upload, add, messages, segments } = await setUp()
    await add(5)
    const segment = disk.get(segments()[0]!)!
    segment[segment.length - 3]! ^= 1
    upload.start()
    await until('the good ones to be released', () => pending.firstSeq === 6)
    assert.deepEqual(sent, messages(0, 4))
    await add(3)
    await until('the fresh ones to be sent', () => pending.firstSeq === 9)
    assert.deepEqual(sent, [...messages(0, 4), ...messages(5, 8)])
    assert.deepEqual(
      damages.map(({ recordsMissing }) => recordsMissing),
      [1],
    )
    await upload.close(1_000)
  })
  it('says what to do when the dead letters are full, and names no option that the agent does not have', async () => {
    const { pending, health, upload, add } = await setUp(true)
    await add(1)
    upload.start()
    const said = await until('health to say so', () => health.report().reasons['dead-letters'])
    assert.equal(said, 'the folder holds all that it may: look at them and move some away; uploading waits for it')
    await upload.close(1_000)
    assert.equal(pending.firstSeq, 1, 'nothing was let go of')
  })
})
