/**
 * `node:http` for servers. An `import` evaluates all that a module of Node exports, here also `WebSocket`, for which Node
 * loads its whole fetch: 3 MB of memory.
 */
export const { createServer } = process.getBuiltinModule('node:http')
