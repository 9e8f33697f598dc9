/**
 * Reports what became of every message: follows the log of the mail server, ties each delivery, bounce and deferral to the
 * message it belongs to, and posts it to the event ingestion API.
 */
import { compiledBefore } from '../lib/process/compiled-before.ts'
import { keepHeapSmall } from '../lib/process/small-heap.ts'
import { agentHeap } from '../lib/event/maillog/agent-heap.ts'

const manual = `
Reports what became of every message: follows the log of the mail server, ties each delivery, bounce and deferral to the
message it belongs to by X-Sendpost-Message-UUID, and posts it to the event ingestion API. Nothing is lost while it is
down: it goes on where it was, through rotations.

  node cmd/agent.ts --api-key-file /etc/sendpost-agent/key
  node cmd/agent.ts --log-path journald
  postfix start-fg | node cmd/agent.ts --log-path -
  node cmd/agent.ts --dry-run /var/log/mail.log.1 /var/log/mail.log
  node cmd/agent.ts --explain 4jWyWp3dgpzMNjJ
  node cmd/agent.ts --doctor

Settings are also read from /etc/sendpost-agent/config.yaml. More: docs/agent.md
`
const program = { name: 'agent', manual, configFile: '/etc/sendpost-agent/config.yaml' } as const

keepHeapSmall(agentHeap)
// What looks at logs needs none of what sends events, and the other way round: half of the memory and of the start.
const start = await compiledBefore(async () => {
  const [{ agentOptions, asksToInspect, inspectOptions }, { run }] = await Promise.all([
    import('../lib/event/maillog/options.ts'),
    import('../lib/process/run.ts'),
  ])
  if (asksToInspect(process.argv)) {
    const { startInspection } = await import('../lib/event/maillog/inspect.ts')
    const inspection = { ...program, options: inspectOptions, operands: '[file...]', start: startInspection }
    return () => run({ ...inspection, logTo: 'stderr' })
  }
  const [{ startAgent, validateAgent }] = await Promise.all([
    import('../lib/event/maillog/start-agent.ts'),
    // `run` loads it later: what is not compiled by now would be compiled by each first process after an installation.
    import('../lib/process/metrics-server.ts'),
  ])
  return () => run({ ...program, options: agentOptions, validate: validateAgent, start: startAgent })
})
await start()
