/** What was answered 200 or 250 is there after the process was killed; what it holds stays within its bounds. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { postBatch, startConsole, storedEvents, type StartedConsole } from '../support/console.ts'
import { until } from '../support/process.ts'

let it: StartedConsole
before(async () => {
  it = await startConsole(['--keep-mails=1000'])
})
after(() => it.stop())

function click(id: number): string {
  const fields = {
    type: 'click',
    delv_method: 'esmtp',
    event_id: String(id),
    message_id: `m${id}`,
    timestamp: String(Math.floor(Date.now() / 1000)),
  }
  return JSON.stringify({ msys: { track_event: fields } })
}

test('every event and mail that was confirmed survives kill -9, at whatever moment it comes', async () => {
  const confirmed = { events: new Set<string>(), mails: new Set<string>() }
  let next = 1
  for (let round = 0; round < 3; round++) {
    const mails = createTransport({ host: '127.0.0.1', port: it.smtpPort, pool: true, maxConnections: 3 })
    mails.on('error', () => undefined)
    const traffic = { ended: false }
    const upload = async () => {
      while (!traffic.ended) {
        const ids = Array.from({ length: 20 }, () => next++)
        try {
          const answer = await postBatch(it.url, ids.map(click))
          if (answer.status === 200) for (const id of ids) confirmed.events.add(String(id))
        } catch {
          return
        }
      }
    }
    const send = async () => {
      while (!traffic.ended) {
        const subject = `mail ${next++}`
        try {
          await mails.sendMail({ from: 'a@b.example', to: 'c@d.example', subject, text: 'x'.repeat(5_000) })
          confirmed.mails.add(subject)
        } catch {
          return
        }
      }
    }
    const [events, caught] = [confirmed.events.size, confirmed.mails.size]
    const loops = [upload(), upload(), send(), send()]
    await until('some traffic', () => confirmed.events.size > events + 100 && confirmed.mails.size > caught + 5, 20_000)
    await it.crash()
    traffic.ended = true
    await Promise.all(loops)
    mails.close()
    await it.restart()

    const storedIds = new Set((await storedEvents(it.url)).map(({ event_id: id }) => id))
    assert.deepEqual(
      [...confirmed.events].filter(id => !storedIds.has(id)),
      [],
    )
    const box = (await (await fetch(`${it.url}/api/mailbox`)).json()) as {
      subject: string
      id: string
      bytes: number
    }[]
    const subjects = new Set(box.map(({ subject }) => subject))
    assert.deepEqual(
      [...confirmed.mails].filter(subject => !subjects.has(subject)),
      [],
    )
    for (const { id, bytes } of box) {
      const raw = await (await fetch(`${it.url}/api/mailbox/${id}`)).arrayBuffer()
      assert.equal(raw.byteLength, bytes)
    }
  }
})

test('a batch repeated after a crash is recognised by its events', async () => {
  const lines = [click(900_001), click(900_002)]
  assert.equal((await postBatch(it.url, lines)).status, 200)
  await it.crash()
  await it.restart()
  assert.equal((await postBatch(it.url, lines)).status, 200)
  const stored = await storedEvents(it.url, '?message_id=m900001')
  assert.equal(stored.length, 1)
})

test('the oldest events and mails make room for new ones', async () => {
  const small = await startConsole(['--keep-events=100', '--keep-mails=2'])
  try {
    for (let n = 0; n < 3; n++)
      await postBatch(
        small.url,
        Array.from({ length: 100 }, (_, m) => click(n * 100 + m)),
      )
    const mails = createTransport({ host: '127.0.0.1', port: small.smtpPort })
    for (let n = 0; n < 4; n++) {
      await mails.sendMail({ from: 'a@b.example', to: 'c@d.example', subject: `mail ${n}`, text: 'x' })
    }
    const kept = await until(
      'the oldest to go',
      async () => {
        const events = await storedEvents(small.url)
        const box = (await (await fetch(`${small.url}/api/mailbox`)).json()) as { subject: string }[]
        return events.length === 100 && box.length === 2 && { events, box }
      },
      20_000,
      100,
    )
    assert.equal(kept.events[0]?.['event_id'], '200')
    assert.deepEqual(
      kept.box.map(({ subject }) => subject),
      ['mail 2', 'mail 3'],
    )
  } finally {
    await small.stop()
  }
})
