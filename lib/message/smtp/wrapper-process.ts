/** One of several processes that serve a port; does what the process that started it says, and ends with it. */
import { Registry } from 'prom-client'
import { Health } from '../../process/health.ts'
import { openLog, type Log } from '../../process/log.ts'
import type { Running } from '../../process/run.ts'
import { serve } from './start-wrapper.ts'
import type { FromProcess, ToProcess, WrapperSettings } from './wrapper-processes.ts'

/** How often a change of health is told. */
const healthMs = 500

const metrics = new Registry()
const health = new Health()
const stopping = new AbortController()
const reloads: (() => void | Promise<void>)[] = []
let log: Log | undefined
let running: Running | undefined
let told = ''

function say(message: FromProcess): void {
  if (process.connected) process.send?.(message)
}

async function start(settings: WrapperSettings): Promise<void> {
  try {
    log = openLog('wrapper', settings.logLevel, settings.logfile)
    running = await serve({
      settings,
      operands: [],
      log: log.logger,
      metrics,
      health,
      stopping: stopping.signal,
      onReload: reload => reloads.push(reload),
    })
    say({ kind: 'ready' })
  } catch (error) {
    const failed: FromProcess = { kind: 'failed', reason: (error as Error).message }
    if (process.connected) process.send?.(failed, () => process.exit(1))
    else process.exit(1)
  }
}

function reload(): void {
  log?.reopen()
  for (const reload of reloads) {
    void (async () => reload())().catch((error: unknown) => {
      log?.logger.error({ reason: (error as Error).message }, 'reload failed, going on as before')
    })
  }
}

async function stop(): Promise<void> {
  if (stopping.signal.aborted) return
  stopping.abort()
  await running?.close()
  process.exit()
}

// The signals of a terminal reach every process; the one that started this one passes on what they mean.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => void stop())
process.on('message', message => {
  const to = message as ToProcess
  switch (to.kind) {
    case 'start':
      void start(to.settings)
      break
    case 'reload':
      reload()
      break
    case 'metrics':
      void metrics.getMetricsAsJSON().then(all => say({ kind: 'metrics', request: to.request, metrics: all }))
      break
    case 'stop':
      void stop()
      break
  }
})
setInterval(() => {
  const report = health.report()
  const now = JSON.stringify(report)
  if (now === told) return
  told = now
  say({ kind: 'health', report })
}, healthMs).unref()
