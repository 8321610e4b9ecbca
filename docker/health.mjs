// Healthy is a pgsplit that accepts clients and, as far as its HTTP door can be asked, can serve
// them: a cluster without any node that is up is not. Without a door it answers an SSLRequest.
import { get } from 'node:http'
import { connect } from 'node:net'

const port = Number(process.env.PGSPLIT_PORT ?? 6432)
const httpPort = Number(process.env.PGSPLIT_HTTP_PORT ?? 9187)
const end = (isHealthy) => process.exit(isHealthy ? 0 : 1)

get({ host: '127.0.0.1', port: httpPort, path: '/readyz', agent: false }, ({ statusCode }) => {
  if (statusCode === 503) end(false)
  else askForTls()
}).once('error', askForTls) // there is no door, or it speaks TLS only

function askForTls() {
  const socket = connect(port, '127.0.0.1', () => {
    const request = Buffer.alloc(8)
    request.writeInt32BE(8, 0)
    request.writeInt32BE(80877103, 4)
    socket.write(request)
  })
  socket.once('data', (answer) => end(/^[SN]/.test(answer.toString('latin1'))))
  socket.once('error', () => end(false))
  socket.once('close', () => end(false))
}

setTimeout(() => end(false), 2500)
