import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readNetwork } from '../../network/network.ts'
import { networkLines } from './network-lines.ts'

test('networkLines reads what stands before the comma', () => {
  const csv = '# published as\n172.224.224.0/27,GB,GB-EN,London,\r\n2606:54c0::/45,US,,,\n\n17.0.0.0/8\n192.0.2.7'
  assert.deepEqual(
    [...networkLines(csv)],
    ['172.224.224.0/27', '2606:54c0::/45', '17.0.0.0/8', '192.0.2.7'].map(readNetwork),
  )
})

test('networkLines names the line that it can not read', () => {
  assert.throws(() => [...networkLines('17.0.0.0/8\nnonsense,US\n')], /line 2/)
  assert.throws(() => [...networkLines('17.0.0.0/33')], /line 1/)
  assert.throws(() => [...networkLines('# nothing\n')], /no network/)
})
