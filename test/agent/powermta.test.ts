/** PowerMTA's accounting files instead of Postfix's log. */
import assert from 'node:assert/strict'
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { until } from '../support/process.ts'
import { agentUnderTest, missing, uuidOf } from './agent-under-test.ts'

const header = 'type,timeLogged,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,header_x-sendpost-message-uuid\r\n'
const row = (number: number) =>
  `d,2026-02-09 13:00:05+0100,r${number}@example.com,relayed,2.0.0 (success),"smtp;250 2.0.0 OK, thanks",mx (192.0.2.1),success,${uuidOf(number)}\r\n`

test('accounting files are followed through their moves, with the header of each', async context => {
  const agent = await agentUnderTest(context, '--mta=powermta')
  const path = `${agent.dir}/acct.csv`
  const running = await agent.start(`--log-path=${path}`)
  writeFileSync(path, header + row(0))
  await until('the first', () => missing(agent.endpoint, 1).length === 0)
  appendFileSync(path, row(1))
  renameSync(path, `${agent.dir}/acct-2026-02-09-0000.csv`)
  writeFileSync(path, `${header.replace('type,', 'type,jobId,')}${row(2).replace('d,', 'd,j,')}`)
  await until('three events', () => missing(agent.endpoint, 3).length === 0)
  await running.stop()
  appendFileSync(path, row(3).replace('d,', 'd,j,'))
  await agent.start(`--log-path=${path}`)
  await until('four events', () => missing(agent.endpoint, 4).length === 0)
  assert.equal(agent.endpoint.events.length, 4)
  const [event] = agent.endpoint.events
  assert.equal(event?.smtp_code, 250)
  assert.equal(event.smtp_description, '250 2.0.0 OK, thanks')
  assert.equal(event.timestamp, '2026-02-09T12:00:05Z')
  assert.deepEqual(agent.endpoint.flaws, [])
})
