import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { ClientPatience } from './client-patience.ts'
import { defaultLimits } from './limits.ts'

const quiet = { partialSince: 0, isUpgrading: false, stressed: false }
const { idleMs, stressIdleMs, commandMs, handshakeMs, errorsMax, idleCommandsMax } = defaultLimits

test('a client that says nothing is waited for, less long when places are scarce', () => {
  const patience = new ClientPatience(defaultLimits, 1000)
  for (const [limitMs, silence] of [
    [idleMs, quiet],
    [stressIdleMs, { ...quiet, stressed: true }],
    [handshakeMs, { ...quiet, isUpgrading: true }],
  ] as const) {
    assert.ok(!patience.isOver(1000 + limitMs, silence))
    assert.ok(patience.isOver(1001 + limitMs, silence))
  }
  patience.clientsTurn(2000)
  assert.ok(!patience.isOver(2000 + idleMs, quiet))
})

test('a command line has its own time, from its first byte', () => {
  const patience = new ClientPatience(defaultLimits, 0)
  assert.ok(!patience.isOver(5000 + commandMs, { ...quiet, partialSince: 5000 }))
  assert.ok(patience.isOver(5001 + commandMs, { ...quiet, partialSince: 5000 }))
})

test('wrong and idle commands are counted until a message is accepted', () => {
  const patience = new ClientPatience(defaultLimits, 0)
  for (let count = 0; count < errorsMax; count++) patience.wrongCommand()
  for (let count = 0; count < idleCommandsMax; count++) patience.idleCommand()
  assert.ok(!patience.isExhausted)
  patience.idleCommand()
  assert.ok(patience.isExhausted && !patience.hasTooManyErrors)
  patience.forgive()
  assert.ok(!patience.isExhausted)
  for (let count = 0; count <= errorsMax; count++) patience.wrongCommand()
  assert.ok(patience.isExhausted && patience.hasTooManyErrors)
})
