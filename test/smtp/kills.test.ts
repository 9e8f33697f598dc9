/**
 * Sudden death of wrapper, upstream and client at each step of a mail, and an account of every message: what a client was
 * told is taken is upstream, whole, and comes twice only where nobody can know (RFC 1047).
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'
import { startWrapper, untracked, type WrapperProcess } from './wrapper-process.ts'

const victims = ['wrapper', 'upstream', 'client'] as const
/** Where death comes: when the upstream hears a command, within a message, or when the upstream has answered it. */
const steps = ['connect', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'body', '.', 'answer'] as const
/** Here nobody can know whether the message was taken. */
const mayComeTwice: ReadonlySet<string> = new Set(['.', 'answer'])
const cases = steps.flatMap(step => victims.map(victim => ({ step, victim })))

const large = `${'x'.repeat(98)}\r\n`.repeat(12_000)

/** One attempt of a client: gives the last reply it got. */
async function attempt(
  port: number,
  id: string,
  isLarge: boolean,
  begun: (client: Peer) => void,
  within: () => Promise<void>,
): Promise<string> {
  const client = await Peer.connect(port)
  begun(client)
  try {
    await client.reply()
    const commands = [
      'EHLO client.test',
      `MAIL FROM:<a@b.test> SIZE=${isLarge ? 3_000_000 : 200}`,
      'RCPT TO:<c@d.test>',
      'DATA',
    ]
    for (const command of commands) {
      const reply = await client.ask(command)
      if (!/^[23]/.test(reply)) return reply
    }
    client.say(`X-Id: ${id}\r\n\r\n${isLarge ? large : ''}`)
    await within()
    return await client.ask(`${isLarge ? large : ''}the end\r\n.`)
  } finally {
    client.socket.destroy()
  }
}

test('whoever dies at whatever step: no mail is lost, and only in the final window one may come twice', async t => {
  const sink = await SinkUpstream.start()
  const rounds = sized(cases.length, 1000)
  let wrapper: WrapperProcess = await startWrapper(sink.port, untracked)
  // The next one gets ready in the meantime.
  let spare = startWrapper(sink.port, untracked)
  t.after(async () => {
    sink.misbehave = () => undefined
    await Promise.all([wrapper.stop(), spare.then(process => process.stop())])
    await sink.close()
  })
  let twice = 0
  const taken = new Map<string, number>()
  const copiesOf = (id: string) =>
    sink.accepted.filter(({ data }) => `\n${data.slice(0, 1000)}`.includes(`\nX-Id: ${id}\r\n`))
  for (let round = 0; round < rounds; round++) {
    const { step, victim } = cases[round % cases.length]!
    const id = `${round}-${step}-${victim}`
    const doomed = wrapper
    let dead = false
    let client: Peer | undefined
    const kill = (): void => {
      dead = true
      if (victim === 'wrapper') wrapper.kill('SIGKILL')
      else if (victim === 'upstream') sink.disconnect()
      else client?.socket.resetAndDestroy()
    }
    if (victim === 'wrapper') await spare
    sink.misbehave = command => {
      const isStep = step === 'answer' ? command === '.' : command.startsWith(step)
      if (dead || !isStep || client === undefined) return undefined
      if (step !== 'answer') {
        kill()
        return victim === 'upstream' ? 'drop' : undefined
      }
      dead = true
      if (victim === 'upstream') return 'take and drop'
      setImmediate(kill)
      return undefined
    }
    const begun = (peer: Peer): void => {
      client = peer
      // So that the wrapper has to connect anew.
      if (!dead && (step === 'connect' || step === 'EHLO')) sink.disconnect()
    }
    const within = async (): Promise<void> => {
      if (step !== 'body' || dead) return
      await until('the message to be on its way', () => sink.commands.at(-1) === 'DATA')
      kill()
    }
    await until(
      `${id} to be taken`,
      async () => {
        const reply = await attempt(wrapper.port, id, step === 'body', begun, within).catch(() => 'lost')
        if (dead && victim === 'wrapper' && wrapper === doomed) {
          await doomed.exited
          wrapper = await spare
          spare = startWrapper(sink.port, untracked)
        }
        if (!reply.startsWith('250')) return false
        assert.ok(copiesOf(id).length > 0, `${id}: the client was told that it is taken, and the upstream has none`)
        return true
      },
      30_000,
    )
    assert.ok(dead, `${id}: nobody died`)
    const copies = copiesOf(id)
    assert.ok(copies.length <= (mayComeTwice.has(step) ? 2 : 1), `${id} came ${copies.length} times`)
    if (copies.length > 1) twice++
    for (const { data } of copies) assert.ok(data.endsWith('the end\r\n'), `${id} is cut off`)
    taken.set(id, copies.length)
    sink.accepted.length = 0
    sink.commands.length = 0
  }
  t.diagnostic(`${rounds} deaths: ${taken.size} mails taken, none lost, ${twice} came twice`)
  assert.equal(taken.size, rounds)
  assert.equal((await wrapper.stop()).code, 0)
})
