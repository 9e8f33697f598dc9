/** A message with several recipients of whom only some are served: nobody is left out, nobody is served twice. */
import { strict as assert } from 'node:assert'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import pino from 'pino'
import { Registry } from 'prom-client'
import { RedisCopyLedger } from '../../lib/message/smtp/accepted-copies.ts'
import { Health } from '../../lib/process/health.ts'
import { until } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { Peer } from './peer.ts'
import { numberCopies, startRig, type Rig } from './rig.ts'
import { SinkUpstream } from './sink-upstream.ts'

let redis: TestRedis
let sink: SinkUpstream
const opened: { close: () => unknown }[] = []
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())
beforeEach(async () => {
  await redis.client.flushall()
  sink = await SinkUpstream.start()
})
afterEach(async () => {
  for (const open of opened.splice(0)) await open.close()
  await sink.close()
})

/** A relay with a memory of its own beside the one that all share. */
async function relay(redisUrl = redis.url): Promise<Rig & { ledger: RedisCopyLedger }> {
  const ledger = await RedisCopyLedger.open({
    redisUrl,
    partitions: 4,
    log: pino({ level: 'silent' }),
    health: new Health(),
    metrics: new Registry(),
  })
  const rig = await startRig({ upstreamPort: sink.port, ledger, rewriting: numberCopies })
  opened.push(rig, ledger)
  return { ...rig, ledger }
}

async function send(rig: Rig, recipients: readonly string[], text = 'Message-ID: <x@b.test>'): Promise<string> {
  const client = await askedForMessage(rig, recipients)
  const reply = await client.ask(`${text}\r\n.`)
  client.socket.destroy()
  return reply
}

const all = ['one@d.test', 'two@d.test', 'three@d.test']
const served = () => sink.accepted.map(({ rcpts }) => /<(.*)>/.exec(rcpts.join())![1]!)
/** Refuses the n-th message from now on. */
function refuseFrom(number: number): void {
  let count = 0
  sink.misbehave = command => (command === '.' && ++count >= number ? '451 4.3.0 not now' : undefined)
}

interface HeldCopy {
  isHeld: boolean
  answer: (reply: string) => void
}

/** Has the upstream keep quiet about the n-th message from now on, which it has, until it is told what to answer. */
function holdCopy(number: number): HeldCopy {
  let count = 0
  const copy: HeldCopy = { isHeld: false, answer: () => undefined }
  sink.misbehave = command => {
    if (command !== '.' || ++count !== number) return undefined
    copy.isHeld = true
    return new Promise<string>(resolve => (copy.answer = resolve))
  }
  return copy
}

/** A client whose mail may come. */
async function askedForMessage({ port }: Rig, recipients: readonly string[] = all): Promise<Peer> {
  const client = await Peer.connect(port)
  await client.reply()
  const envelope = ['MAIL FROM:<a@b.test>', ...recipients.map(to => `RCPT TO:<${to}>`)]
  for (const command of ['EHLO client.test', ...envelope, 'DATA']) await client.ask(command)
  return client
}

describe('copies', () => {
  test('a retry serves those who are missing, through whichever process', async () => {
    const first = await relay()
    refuseFrom(2)
    assert.match(await send(first, all), /^451 4\.5\.0 /)
    assert.deepEqual(served(), ['one@d.test'])
    sink.misbehave = () => undefined
    const second = await relay()
    assert.match(await send(second, all), /^250 /)
    assert.deepEqual(served(), all)
    await until('all to be forgotten', async () => (await redis.client.keys('*copy:*')).length === 0)
    assert.match(await send(second, all), /^250 /)
    assert.equal(served().length, 6, 'the same message sent on purpose is a new one')
  })

  test('a retry with one recipient at a time', async () => {
    const first = await relay()
    refuseFrom(2)
    await send(first, all)
    sink.misbehave = () => undefined
    const second = await relay()
    await until('the other process to notice', () => second.ledger.outstanding)
    for (const recipient of all) assert.match(await send(second, [recipient]), /^250 /)
    assert.deepEqual(served(), all)
  })

  test('a message without Message-ID and Date may be another one: nobody is left out', async () => {
    const rig = await relay()
    for (const [text, known] of [
      ['Subject: x', false],
      ['Date: Sat, 21 Nov 2026 20:00:00 +0000', true],
    ] as const) {
      refuseFrom(2)
      assert.match(await send(rig, all, text), /^451 4\.5\.0 /)
      sink.misbehave = () => undefined
      sink.accepted.length = 0
      assert.match(await send(rig, all, text), /^250 /)
      assert.deepEqual(served(), known ? all.slice(1) : all)
    }
  })

  test('announced before the first copy, withdrawn when all are served', async () => {
    const first = await relay()
    const second = await relay()
    let answer: (reply: string) => void = () => undefined
    sink.misbehave = command => (command === '.' ? new Promise<string>(resolve => (answer = resolve)) : undefined)
    const reply = send(first, all)
    await until('the first copy to be upstream', () => sink.commands.at(-1) === '.')
    await until('the other process to notice', () => second.ledger.outstanding)
    const pieces = [Buffer.from('Message-ID: <x@b.test>\r\n\r\n')]
    assert.ok(second.ledger.isOpen('a@b.test', pieces))
    assert.ok(!second.ledger.isOpen('b@b.test', pieces))
    assert.ok(!second.ledger.isOpen('a@b.test', [Buffer.from('Message-ID: <y@b.test>\r\n\r\n')]))
    sink.misbehave = () => undefined
    answer('250 ok')
    assert.match(await reply, /^250 /)
    await until('the announcement to be withdrawn', () => !first.ledger.outstanding && !second.ledger.outstanding)
  })

  test('a retry renews what it finds', async () => {
    const rig = await relay()
    refuseFrom(2)
    await send(rig, all)
    const marks = async () => redis.client.keys('*copy:*')
    await until('the mark', async () => (await marks()).length === 1)
    const [mark = ''] = await marks()
    await redis.client.expire(mark, 100)
    refuseFrom(1)
    assert.match(await send(rig, all), /^451 4\.5\.0 /)
    await until('the mark to be renewed', async () => (await redis.client.ttl(mark)) > 86_000)
  })

  test('another message, or another sender, is not the same', async () => {
    const rig = await relay()
    refuseFrom(2)
    await send(rig, all)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all, 'Message-ID: <y@b.test>'), /^250 /)
    assert.deepEqual(served(), ['one@d.test', ...all])
  })

  test('Redis away: the process itself remembers', async () => {
    const rig = await relay('unix:///nonexistent/redis')
    refuseFrom(3)
    assert.match(await send(rig, all), /^451 4\.5\.0 /)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all), /^250 /)
    assert.deepEqual(served(), all)
  })

  test('Redis frozen: the mail waits for it a moment at most', async () => {
    const rig = await relay()
    await redis.kill('SIGSTOP')
    try {
      const begun = performance.now()
      assert.match(await send(rig, all), /^250 /)
      assert.ok(performance.now() - begun < 2_000)
    } finally {
      await redis.kill('SIGCONT')
    }
    assert.deepEqual(served(), all)
  })

  test('the client does not hear that all were served: its retry serves nobody twice', async () => {
    const rig = await relay()
    const copy = holdCopy(3)
    const client = await askedForMessage(rig)
    client.say('Message-ID: <x@b.test>\r\n.\r\n')
    await until('the last copy to be upstream', () => copy.isHeld)
    client.socket.resetAndDestroy()
    await until('the session to end', () => rig.server.sessions === 0)
    copy.answer('250 ok')
    await until('the last copy', () => sink.accepted.length === 3)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all), /^250 2\.0\.0 Ok: all copies accepted before/)
    assert.deepEqual(served(), all)
  })

  test('the client closes its side before the answer, and maybe both: its retry serves nobody twice', async () => {
    const rig = await relay()
    const copy = holdCopy(3)
    const client = await askedForMessage(rig)
    client.socket.end('Message-ID: <x@b.test>\r\n.\r\n')
    await until('the last copy to be upstream', () => copy.isHeld)
    copy.answer('250 2.0.0 the last')
    assert.match(await client.closed(), /^250 2\.0\.0 the last/)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all), /^250 2\.0\.0 Ok: all copies accepted before/)
    assert.deepEqual(served(), all)
  })

  test('the client is gone after the first copy: the rest waits for its retry', async () => {
    const rig = await relay()
    const copy = holdCopy(1)
    const client = await askedForMessage(rig)
    client.say('Message-ID: <x@b.test>\r\n.\r\n')
    await until('the first copy to be upstream', () => copy.isHeld)
    client.socket.resetAndDestroy()
    await until('the session to end', () => rig.server.sessions === 0)
    copy.answer('250 ok')
    await until('the first copy', () => sink.accepted.length === 1)
    assert.match(await send(rig, all), /^250 /)
    assert.deepEqual(served(), all)
  })

  for (const refused of all) {
    test(`whoever is refused for good, the others are served: ${refused}`, async () => {
      const rig = await relay()
      let asked = 0
      // Asked about all recipients the upstream takes them, of the copies it refuses one.
      sink.misbehave = command =>
        command === `RCPT TO:<${refused}>` && ++asked > 1 ? '550 5.1.1 no such user' : undefined
      const others = all.filter(recipient => recipient !== refused)
      assert.match(await send(rig, all), /^451 4\.5\.0 /)
      assert.deepEqual(served(), others)
      sink.misbehave = () => undefined
      assert.match(await send(rig, all), /^250 /)
      assert.deepEqual(served(), [...others, refused])
    })
  }

  test('all are refused: for good only if each is', async () => {
    const rig = await relay()
    for (const temporary of [undefined, ...all]) {
      let asked = 0
      sink.misbehave = command => {
        if (!command.startsWith('RCPT') || ++asked <= all.length) return undefined
        return command === `RCPT TO:<${temporary}>` ? '450 4.2.1 not now' : '550 5.1.1 no such user'
      }
      assert.match(await send(rig, all), temporary === undefined ? /^550 5\.1\.1 / : /^450 4\.2\.1 /)
      assert.equal(asked, 2 * all.length)
    }
    assert.deepEqual(served(), [])
  })

  test('an upstream that refuses RSET: no bounce, and nobody gets into a transaction of another', async () => {
    const rig = await relay()
    sink.misbehave = command => (command === 'RSET' ? '500 5.5.1 what' : undefined)
    assert.match(await send(rig, all), /^451 4\.4\.2 /)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all), /^250 /)
    // The second copy is refused, and so is what would take it back.
    sink.accepted.length = 0
    let resets = 0
    let asked = 0
    sink.misbehave = command => {
      if (command === 'RSET' && ++resets > 1) return '500 5.5.1 what'
      return command === 'RCPT TO:<two@d.test>' && ++asked > 1 ? '450 4.2.1 full' : undefined
    }
    const text = 'Message-ID: <y@b.test>'
    assert.match(await send(rig, all, text), /^451 4\.5\.0 /)
    sink.misbehave = () => undefined
    assert.match(await send(rig, all, text), /^250 /)
    assert.deepEqual(served().toSorted(), all.toSorted())
    assert.ok(
      !sink.commands.some((command, at) => command.startsWith('MAIL') && sink.commands[at - 1]?.startsWith('MAIL')),
    )
  })

  test('a record for each copy', async () => {
    const rig = await relay()
    await send(rig, all)
    assert.deepEqual(
      rig.relayed.map(({ record }) => record.recipient),
      all,
    )
  })
  test('every reply of the upstream is counted, those to copies too', async () => {
    const rig = await relay()
    sink.misbehave = command =>
      command.startsWith('RCPT TO:<two@') && sink.commands.includes('.') ? '450 4.2.1 full' : undefined
    assert.match(await send(rig, all), /^451 4\.5\.0 /)
    const { values } = (await rig.metrics.getSingleMetric('wrapper_upstream_replies_total')?.get()) ?? { values: [] }
    assert.deepEqual(
      new Map(values.map(({ labels, value }) => [`${labels['command']} ${labels['code']}`, value])),
      // Of all recipients in one transaction, then of each in one of its own.
      new Map([
        ['MAIL 250', 1 + 3],
        ['RCPT 250', 3 + 2],
        ['RCPT 450', 1],
        ['DATA 354', 2],
        ['message 250', 2],
      ]),
    )
  })
})
