/** A mail server for tests: it accepts everything but what a test tells it to refuse, and records what arrives. */
import { createServer, type AddressInfo, type Socket } from 'node:net';

/** A message as the server received it. */
export type Mail = { sender: string; recipients: string[]; text: string };

export type MailServer = { port: string; mails: Mail[]; close: () => Promise<void> };

/**
 * Starts a server, on a free port unless one is given: that of a server which has died. `reply` may return another reply
 * to a command line than the usual one.
 */
export async function startMailServer(
  reply: (line: string) => string | undefined = () => undefined,
  port = 0,
): Promise<MailServer> {
  const mails: Mail[] = [];
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    talk(socket, mails, reply);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = () => new Promise<void>((resolve) => {
    server.close(() => resolve());
    for (const socket of open) socket.destroy();
  });
  return { port: String((server.address() as AddressInfo).port), mails, close };
}

function talk(socket: Socket, mails: Mail[], reply: (line: string) => string | undefined) {
  let [mail, rest, isData] = [{ sender: '', recipients: [], text: '' } as Mail, '', false];
  const say = (text: string) => socket.write(`${text}\r\n`);
  const usual = (line: string): string => {
    const path = /<(.*)>/.exec(line)?.[1] ?? '';
    const [verb] = line.toUpperCase().split(' ');
    if (verb === 'EHLO') return '250-mail.example.test\r\n250-8BITMIME\r\n250-AUTH PLAIN LOGIN\r\n250 SMTPUTF8';
    if (verb === 'AUTH') return '235 Welcome';
    if (verb === 'MAIL') mail = { sender: path, recipients: [], text: '' };
    if (verb === 'RCPT') mail.recipients.push(path);
    if (verb === 'DATA') return '354 Go ahead';
    return verb === 'QUIT' ? '221 Bye' : '250 Ok';
  };
  say('220 mail.example.test ESMTP');
  socket.on('data', (chunk) => {
    rest += chunk.toString();
    for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 2);
      if (isData && line === '.') {
        isData = false;
        mails.push(mail);
        say('250 Queued');
      } else if (isData) {
        mail.text += `${line.replace(/^\.\./, '.')}\r\n`;
      } else {
        const said = reply(line) ?? usual(line);
        isData = said.startsWith('354');
        say(said);
      }
    }
  });
}
