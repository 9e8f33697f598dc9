/** A real Postfix with scripted remote servers, and the agent that follows its log. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer, type Server, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createTransport } from 'nodemailer'
import type { PostedEvent } from '../support/custom-smtp-endpoint.ts'
import { startPostfix, type PostfixInstance, type PostfixOptions } from '../support/postfix.ts'
import { freePort, startProcess, until } from '../support/process.ts'
import { agentUnderTest, root, uuidOf } from './agent-under-test.ts'

/** A remote server that answers a RCPT by the local part: `550.x@…` is refused with 550, `ok…` accepted. */
function remoteServer(port: number, onMessage?: (envelope: string[], data: string) => void): Promise<Server> {
  const converse = (socket: Socket) => {
    let inData = false
    let buffer = ''
    let envelope: string[] = []
    const say = (text: string) => socket.write(`${text}\r\n`)
    say('220 remote.example ESMTP')
    socket.on('error', () => undefined)
    socket.on('data', chunk => {
      buffer += chunk.toString('latin1')
      for (;;) {
        if (inData) {
          const end = buffer.indexOf('\r\n.\r\n')
          if (end === -1) return
          onMessage?.(envelope, buffer.slice(0, end + 2))
          buffer = buffer.slice(end + 5)
          inData = false
          say('250 2.0.0 Ok: queued as 12345ABCDE')
          continue
        }
        const end = buffer.indexOf('\r\n')
        if (end === -1) return
        const line = buffer.slice(0, end)
        buffer = buffer.slice(end + 2)
        const verb = line.slice(0, 4).toUpperCase()
        if (verb === 'EHLO') say('250-remote.example\r\n250 ENHANCEDSTATUSCODES')
        else if (verb === 'RCPT') {
          const code = /<(\d{3})\./.exec(line)?.[1]
          if (code === undefined) envelope.push(line)
          say(
            code === undefined
              ? '250 2.1.5 Ok'
              : `${code} ${code[0]}.7.1 <x@y>: refused), status=sent (250 2.0.0 to=<z@z.example>`,
          )
        } else if (verb === 'DATA') {
          inData = true
          say('354 go on')
        } else if (verb === 'QUIT') {
          say('221 bye')
          socket.end()
        } else {
          if (verb === 'MAIL') envelope = []
          say('250 2.0.0 Ok')
        }
      }
    })
  }
  return new Promise(resolve => {
    const server = createServer(converse).listen(port, '127.0.0.1', () => resolve(server))
  })
}

async function lab(context: TestContext, settings: Record<string, string>, services: PostfixOptions['services'] = []) {
  const [port, remotePort] = [await freePort(), await freePort()]
  const remote = await remoteServer(remotePort)
  const postfix = await startPostfix({
    port,
    settings: {
      relayhost: `[127.0.0.1]:${remotePort}`,
      smtp_tls_security_level: 'none',
      default_destination_rate_delay: '0s',
      destination_concurrency_failed_cohort_limit: '0',
      smtp_destination_concurrency_failed_cohort_limit: '0',
      header_checks: `regexp:${root}config/postfix/header_checks`,
      nested_header_checks: '',
      mime_header_checks: '',
      ...settings,
    },
    services,
  })
  const agent = await agentUnderTest(context)
  context.after(async () => {
    await postfix.stop()
    remote.close()
  })
  await agent.start(`--log-path=${postfix.logFile}`)
  const transport = createTransport({ host: '127.0.0.1', port, secure: false, ignoreTLS: true })
  let sent = 0
  return {
    agent,
    postfix,
    /** Sends a message; its UUID. */
    send: async (...to: string[]) => {
      const uuid = uuidOf(++sent)
      await transport.sendMail({
        envelope: { from: 'news@app.example', to },
        messageId: `<app-${sent}@app.example>`,
        headers: { 'X-Sendpost-Message-UUID': uuid },
        to: to.join(', '),
        subject: 'x',
        text: 'x',
      })
      return uuid
    },
    eventsOf: (uuid: string, type: string, to?: string): PostedEvent[] =>
      agent.endpoint.events.filter(
        event => event.message_id === uuid && event.event_type === type && (to === undefined || event.recipient === to),
      ),
  }
}

function runPostfix(postfix: PostfixInstance, program: string, ...words: string[]): void {
  execFileSync(`/usr/sbin/${program}`, ['-c', postfix.configDir, ...words], { stdio: 'ignore' })
}

test('accepted, refused and deferred recipients of one message, whatever the server says in its text', async context => {
  const { agent, postfix, send, eventsOf } = await lab(context, {})
  const uuid = await send('ok@remote.example', '550.a@remote.example', '450.b@remote.example', '"a b"@remote.example')
  await until('four outcomes', () => agent.endpoint.events.length >= 4, 20_000)
  assert.equal(eventsOf(uuid, 'delivered', 'ok@remote.example').length, 1)
  assert.equal(eventsOf(uuid, 'delivered', '"a b"@remote.example').length, 1)
  const [bounced] = eventsOf(uuid, 'bounced', '550.a@remote.example')
  assert.equal(bounced?.smtp_code, 550)
  assert.match(bounced.smtp_description ?? '', /status=sent/)
  assert.equal(eventsOf(uuid, 'deferred', '450.b@remote.example')[0]?.smtp_code, 450)
  assert.equal(agent.endpoint.events.length, 4, 'nothing of the notification to the sender')
  assert.deepEqual(agent.endpoint.flaws, [])
  // The same of the finished log, read at once.
  const dryRun = await startProcess('node', [`${root}cmd/agent.ts`, '--dry-run', '--log-timezone=UTC', postfix.logFile])
  assert.equal((await dryRun.exited).code, 0)
  assert.equal(dryRun.output.stdout.trim().split('\n').length, 4)
})

test('expiry: one final event for each recipient that waits', async context => {
  const { agent, postfix, send, eventsOf } = await lab(context, {
    maximal_queue_lifetime: '2s',
    bounce_queue_lifetime: '2s',
    minimal_backoff_time: '1s',
    maximal_backoff_time: '1s',
    queue_run_delay: '1s',
  })
  const uuid = await send('450.a@remote.example', '451.b@remote.example', 'ok@remote.example')
  const final = await until(
    'the expiry',
    async () => {
      runPostfix(postfix, 'postqueue', '-f')
      const events = eventsOf(uuid, 'soft_bounced')
      return events.length >= 2 && events
    },
    40_000,
    500,
  )
  const found = new Map(final.map(({ recipient, smtp_code }) => [recipient, smtp_code]))
  assert.deepEqual(
    found,
    new Map([
      ['450.a@remote.example', 450],
      ['451.b@remote.example', 451],
    ]),
  )
  assert.equal(eventsOf(uuid, 'delivered').length, 1)
  assert.equal(agent.endpoint.events.filter(event => event.message_id !== uuid).length, 0)
})

test('SOFTBOUNCE is soft_bounced, once', async context => {
  const { agent, postfix, send, eventsOf } = await lab(context, {
    soft_bounce: 'yes',
    minimal_backoff_time: '1s',
    queue_run_delay: '1s',
  })
  const uuid = await send('550.a@remote.example')
  await until('the event', () => eventsOf(uuid, 'soft_bounced').length === 1, 20_000)
  runPostfix(postfix, 'postqueue', '-f')
  await until('a second attempt', async () => (await agent.metric('agent_lines_total{verdict="repeat"}')) >= 1, 20_000)
  assert.equal(agent.endpoint.events.length, 1)
})

test('a content filter: what counts is what becomes of the message behind it', async context => {
  const filterPort = await freePort()
  const backPort = await freePort()
  const { agent, send, eventsOf } = await lab(context, { content_filter: `filter:[127.0.0.1]:${filterPort}` }, [
    'filter unix - - n - - smtp',
    `127.0.0.1:${backPort} inet n - n - - smtpd -o content_filter= -o receive_override_options=no_header_body_checks`,
  ])
  const filter = await filterServer(filterPort, backPort)
  context.after(() => filter.close())
  const uuid = await send('ok@remote.example', '550.a@remote.example')
  await until('both outcomes', () => agent.endpoint.events.length >= 2, 20_000)
  assert.equal(eventsOf(uuid, 'delivered', 'ok@remote.example').length, 1)
  assert.equal(eventsOf(uuid, 'bounced', '550.a@remote.example').length, 1)
  await until('the hop', async () => (await agent.metric('agent_lines_total{verdict="hop"}')) === 2)
  assert.equal(agent.endpoint.events.length, 2)
})

/** As amavis does: passes the message to another port of Postfix before it answers, with that one's queue id. */
function filterServer(port: number, backPort: number): Promise<Server> {
  const converse = (socket: Socket) => {
    let buffer = ''
    let inData = false
    let envelope: string[] = []
    const say = (text: string) => socket.write(`${text}\r\n`)
    say('220 filter ESMTP')
    socket.on('error', () => undefined)
    const pass = async (data: string) => {
      const answer = await createTransport({ host: '127.0.0.1', port: backPort, ignoreTLS: true }).sendMail({
        envelope: { from: 'news@app.example', to: envelope },
        raw: data,
      })
      say(`250 2.0.0 from MTA(smtp:[127.0.0.1]:${backPort}): ${answer.response}`)
    }
    socket.on('data', chunk => {
      buffer += chunk.toString('latin1')
      for (;;) {
        const end = buffer.indexOf(inData ? '\r\n.\r\n' : '\r\n')
        if (end === -1) return
        const line = buffer.slice(0, end)
        buffer = buffer.slice(end + (inData ? 5 : 2))
        if (inData) {
          inData = false
          void pass(`${line}\r\n`)
        } else if (line.startsWith('DATA')) {
          inData = true
          say('354 go on')
        } else {
          if (line.startsWith('MAIL')) envelope = []
          const recipient = /^RCPT TO:<([^>]+)>/.exec(line)?.[1]
          if (recipient !== undefined) envelope.push(recipient)
          say(line.startsWith('QUIT') ? '221 bye' : '250 Ok')
        }
      }
    })
  }
  return new Promise(resolve => {
    const server = createServer(converse).listen(port, '127.0.0.1', () => resolve(server))
  })
}

test('postfix logrotate: renamed, written on, compressed at once', async context => {
  const { agent, postfix, send, eventsOf } = await lab(context, {})
  const first = await send('ok@remote.example')
  await until('the first', () => eventsOf(first, 'delivered').length === 1, 20_000)
  runPostfix(postfix, 'postfix', 'logrotate')
  const second = await send('ok2@remote.example')
  await until('the second', () => eventsOf(second, 'delivered').length === 1, 20_000)
  runPostfix(postfix, 'postfix', 'logrotate')
  const third = await send('ok3@remote.example')
  await until('the third', () => eventsOf(third, 'delivered').length === 1, 20_000)
  assert.equal(agent.endpoint.events.length, 3)
  assert.equal(await agent.metric('agent_log_gap_total'), 0)
})
