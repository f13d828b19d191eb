import { expect, field, message, open, seeTitle, signIn, submit, test, type Console } from './fixtures.js';
import { startMailServer, type MailServer } from './mail_server.js';
import type { Page } from '@playwright/test';

/** Fills the form of the mail server in and submits it, from its first page or from the settings. */
async function configure(page: Page, hook: Console, mail: MailServer, path = '/smtp') {
  await open(page, hook, path);
  await field(page, 'Server').fill('127.0.0.1');
  await field(page, 'Encryption').selectOption('None');
  await field(page, 'Port').fill(mail.port);
  await field(page, 'From Address').fill('ops@example.com');
  await submit(page);
  await expect(page.getByRole('status').filter({ hasText: 'Saved.' })).toBeVisible();
}

const refusesBob = (line: string) => line.includes('<bob@') ? '550 5.1.1 No <such> user' : undefined;

test('the mail server is entered, tested and shown with its dialogue', async ({ page, hook }) => {
  const mail = await startMailServer(refusesBob);
  await signIn(page, hook);
  await page.getByRole('navigation', { name: 'Commands' }).getByRole('link', { name: 'SMTP' }).click();
  await seeTitle(page, 'SMTP');
  await expect(page.getByText('Tasks send e-mails through one mail server')).toBeVisible();
  await expect(field(page, 'Port')).toHaveValue('587');
  await configure(page, hook, mail);
  await expect(page.getByText(`127.0.0.1:${mail.port}`)).toBeVisible();

  await page.getByRole('link', { name: 'Send test…' }).click();
  await seeTitle(page, 'Send test');
  await field(page, 'To').fill('zoe@example.com');
  await page.getByRole('button', { name: 'Send test' }).click();
  await expect(page.getByText('has accepted the message to zoe@example.com')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Dialogue' })).toContainText('C: RCPT TO:<zoe@example.com>');
  await expect(field(page, 'To')).toHaveValue('zoe@example.com');
  expect(mail.mails).toHaveLength(1);
  expect(mail.mails[0]).toMatchObject({ sender: 'ops@example.com', recipients: ['zoe@example.com'] });
  await field(page, 'To').fill('bob@example.com');
  await page.getByRole('button', { name: 'Send test' }).click();
  await expect(page.getByRole('region', { name: 'Dialogue' })).toContainText('S: 550 5.1.1 No <such> user');
  await field(page, 'To').fill('bob@');
  await page.getByRole('button', { name: 'Send test' }).click();
  await expect(await message(page, 'To')).toContainText('no domain');
  await expect(field(page, 'To')).toBeFocused();
  await mail.close();
});

test('each wrong field of the mail server has its message and keeps what was typed', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/smtp');
  const wrong = {
    'Server': ['http://mail.example.com', 'alone'],
    'Port': ['65536', 'from 1 to 65535'],
    'From Address': ['ops@', 'no domain'],
    'From Name': ['x'.repeat(129), 'at most 128 characters'],
    'Timeout': ['2', 'from 3 to 120 seconds'],
    'Retries': ['many', 'from 0 to 100'],
  };
  for (const [label, [typed]] of Object.entries(wrong)) await field(page, label).fill(typed);
  await field(page, 'Allow Insecure Certificates').check();
  await submit(page);
  for (const [label, [typed, says]] of Object.entries(wrong)) {
    await expect(await message(page, label)).toContainText(says);
    await expect(field(page, label)).toHaveValue(typed);
  }
  await expect(field(page, 'Allow Insecure Certificates')).toBeChecked();
  await expect(page.getByText('6 fields need attention')).toBeVisible();
  await expect(field(page, 'Server')).toBeFocused();

  await field(page, 'Server').fill('169.254.169.254');
  await field(page, 'Port').fill('25');
  await field(page, 'From Address').fill('ops@example.com');
  await field(page, 'From Name').fill('');
  await field(page, 'Timeout').fill('30');
  await field(page, 'Retries').fill('0');
  await submit(page);
  await expect(await message(page, 'Server')).toContainText('link-local or metadata address');
  await field(page, 'Server').fill('mail.example.com');
  await field(page, 'Encryption').selectOption('None');
  await field(page, 'Username').fill('ops');
  await field(page, 'Password').fill('canary-4f7a');
  await submit(page);
  await expect(await message(page, 'Username')).toContainText('would be sent in clear');
  await expect(field(page, 'Password')).toHaveValue('');
  expect(await page.content()).not.toContain('canary-4f7a');
  await field(page, 'Encryption').selectOption('TLS');
  await submit(page);
  await expect(await message(page, 'Password')).toContainText('Enter the new password again');
});

test('warnings follow the chosen settings without script too', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/smtp');
  const clear = page.getByText('can read and change every e-mail');
  const insecure = page.getByText('can read and change what is sent');
  await expect(clear).toBeHidden();
  await expect(insecure).toBeHidden();
  await field(page, 'Encryption').selectOption('None');
  await field(page, 'Allow Insecure Certificates').check();
  await expect(clear).toBeVisible();
  await expect(insecure).toBeVisible();
  // The page has no island, so nothing could show a typed secret.
  await expect(page.getByRole('button', { name: 'Show what is typed' })).toBeHidden();
});

test('a password is kept while it is not typed, and demanded for another server', async ({ page, hook }) => {
  const mail = await startMailServer();
  await signIn(page, hook);
  await open(page, hook, '/smtp');
  await field(page, 'Username').fill('ops');
  await field(page, 'Password').fill('canary-4f7a');
  await field(page, 'Server').fill('127.0.0.1');
  await field(page, 'Encryption').selectOption('None');
  await field(page, 'Port').fill(mail.port);
  await field(page, 'From Address').fill('ops@example.com');
  await submit(page);
  await expect(page.getByText('As ops, password stored')).toBeVisible();
  await page.getByRole('link', { name: 'Edit', exact: true }).click();
  await expect(page.getByText('Set. Leave empty to keep it.')).toBeVisible();
  await expect(field(page, 'Password')).toHaveValue('');
  expect(await page.content()).not.toContain('canary-4f7a');
  await field(page, 'From Name').fill('Operations');
  await submit(page);
  await expect(page.getByText('Operations <ops@example.com>')).toBeVisible();
  await page.getByRole('link', { name: 'Edit', exact: true }).click();
  await field(page, 'Port').fill('9');
  await submit(page);
  await expect(await message(page, 'Password')).toContainText('the port has changed');
  await mail.close();
});

test('a change by somebody else is shown, and then replaced', async ({ page, hook, context }) => {
  const mail = await startMailServer();
  await signIn(page, hook);
  await configure(page, hook, mail);
  await open(page, hook, '/smtp/edit');
  const other = await context.newPage();
  await open(other, hook, '/smtp/edit');
  await field(other, 'Retries').fill('3');
  await submit(other);
  await expect(other.getByText('Saved.')).toBeVisible();
  await other.close();
  await field(page, 'From Name').fill('Mine');
  await submit(page);
  await expect(page.getByRole('alert')).toContainText('Somebody else changed this mail server');
  await expect(page.getByRole('row', { name: 'retries 10 3' })).toBeVisible();
  await expect(field(page, 'From Name')).toHaveValue('Mine');
  await submit(page);
  await expect(page.getByText('Mine <ops@example.com>')).toBeVisible();
  await mail.close();
});

test('a pause of the mail server is ended from its page', async ({ page, hook }) => {
  const mail = await startMailServer();
  await signIn(page, hook);
  await configure(page, hook, mail);
  await page.getByRole('button', { name: 'Pause' }).click();
  await expect(page.getByText('0 deliveries are held')).toBeVisible();
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(page.getByText('Resumed.')).toBeVisible();
  await expect(page.getByText('Active')).toBeVisible();
  await mail.close();
});

test('an operator tests and pauses, and does not see the settings form', async ({ page, hook }) => {
  const mail = await startMailServer();
  await signIn(page, hook);
  await configure(page, hook, mail);
  await page.goto('about:blank');
  await page.context().clearCookies();
  await signIn(page, hook, 'olga');
  await open(page, hook, '/smtp');
  await expect(page.getByRole('link', { name: 'Send test…' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Edit', exact: true })).toHaveCount(0);
  await page.goto('about:blank');
  await page.context().clearCookies();
  await signIn(page, hook, 'victor');
  await open(page, hook, '/smtp');
  await expect(page.getByRole('button', { name: 'Pause' })).toHaveCount(0);
  await mail.close();
});
