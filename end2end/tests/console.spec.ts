/** The behaviour that the browser half adds to lists and dashboards. */
import { expect, field, makeEvent, makeTask, makeWebhook, open, save, seeTitle, signIn, test, waitForHydration } from './fixtures.js';
import type { Page, Request } from '@playwright/test';
import type { Console } from './fixtures.js';

const row = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text });
const command = (page: Page, name: string) => page.getByRole('navigation', { name: 'Commands' }).getByRole('button', { name, exact: true });
/** Executes the first task, as another tab does. */
async function execute(page: Page, hook: Console) {
  const response = await page.request.post(`${hook.url}/tasks/1/execute`, { form: {}, headers: { 'Sec-Fetch-Site': 'same-origin' } });
  expect(response.ok()).toBe(true);
}
const names = (page: Page) => page.locator('tbody a.c-table__open');
/** Sets a mark that is lost when the page is loaded again. */
const mark = (page: Page) => page.evaluate(() => { (globalThis as any).was_here = true; });
const isMarked = (page: Page) => page.evaluate(() => 'was_here' in globalThis);
/** Removes the stream, so that only the test changes the page: for tests that are not about live pages. */
const still = (page: Page) => page.addInitScript(() => { delete (globalThis as any).EventSource; });
/** Counts the messages of the stream. Each marks the page just before the browser half handles the message. */
const listen = (page: Page) => page.addInitScript(() => {
  const Stream = globalThis.EventSource;
  (globalThis as any).messages = 0;
  globalThis.EventSource = class extends Stream {
    constructor(url: string) {
      super(url);
      this.addEventListener('message', () => {
        (globalThis as any).messages += 1;
        document.querySelector('#main')?.firstElementChild?.setAttribute('data-before-message', '');
      });
    }
  };
});
/** Returns true for a page that the browser half fetches again. */
const isFetched = (request: Request) => request.resourceType() === 'fetch' && !/\/(pkg|api)\//.test(request.url());
const messages = (page: Page) => page.evaluate(() => (globalThis as any).messages as number);

test('filters of a narrow list stand in two columns, only for columns that can be filtered', async ({ page, hook }) => {
  await still(page);
  await page.setViewportSize({ width: 360, height: 800 });
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await open(page, hook, '/webhooks');
  await page.locator('.c-filter-button').click();
  const filters = page.locator('.c-table__filters');
  const [byName, byState] = [page.getByLabel('Filter by name'), page.getByLabel('Filter by state')];
  for (const one of [filters, byName, byState]) await expect(one).toBeVisible();
  const [all, name, state] = await Promise.all([filters, byName, byState].map((one) => one.boundingBox()));
  const padding = await filters.evaluate((one) => parseFloat(getComputedStyle(one).paddingInlineStart));
  expect(name!.x).toBeCloseTo(all!.x + padding, 0);
  expect(state!.y).toBeCloseTo(name!.y, 0);
  expect(state!.x + state!.width).toBeCloseTo(all!.x + all!.width - padding, 0);
  await expect(filters.locator('td:visible')).toHaveCount(5);
  // No column of this list can be sorted.
  await makeTask(page, hook, 'Tell', 'Chat');
  await execute(page, hook);
  await open(page, hook, '/runs');
  await page.locator('.c-filter-button').click();
  await expect(page.getByLabel('Filter by status')).toBeVisible();
});

test('sort order and filters of a list stay in its address', async ({ page, hook }) => {
  test.setTimeout(60_000);
  await still(page);
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  for (const name of ['alpha', 'Beta', 'gamma']) await makeTask(page, hook, name, 'Chat');
  await open(page, hook, '/tasks');
  await expect(names(page)).toHaveText(['alpha', 'Beta', 'gamma']);
  await page.getByRole('link', { name: 'Name', exact: true }).click();
  await expect(page).toHaveURL(/\?sort=-name$/);
  await expect(names(page)).toHaveText(['gamma', 'Beta', 'alpha']);
  await expect(page.getByRole('columnheader', { name: 'Name' })).toHaveAttribute('aria-sort', 'descending');

  await page.getByLabel('Filter by name').fill('A');
  await page.getByLabel('Filter by name').press('Enter');
  await expect(page).toHaveURL(/[?&]name=A(&|$)/);
  // The address changes before the page, and the new page has a new field.
  await expect(page.getByRole('link', { name: 'Remove the filter Name' })).toBeVisible();
  await page.getByLabel('Filter by name').fill('mm');
  await page.getByLabel('Filter by name').press('Enter');
  await expect(names(page)).toHaveText(['gamma']);
  await expect(page.getByText('1 task')).toBeVisible();
  await page.getByLabel('Filter by state').selectOption('Disabled');
  await expect(page.getByText('Nothing matches these filters.')).toBeVisible();
  await page.getByLabel('Filter by state').selectOption('Enabled');
  await expect(names(page)).toHaveText(['gamma']);

  await page.reload();
  await waitForHydration(page);
  await expect(names(page)).toHaveText(['gamma']);
  await expect(page.getByLabel('Filter by name')).toHaveValue('mm');
  await expect(page.getByLabel('Filter by state')).toHaveValue('Enabled');
  await page.getByRole('link', { name: 'Remove the filter Name' }).click();
  await expect(names(page)).toHaveText(['gamma', 'Beta', 'alpha']);
  await page.goBack();
  await expect(names(page)).toHaveText(['gamma']);
  await page.getByRole('link', { name: 'Clear all' }).click();
  await expect(names(page)).toHaveText(['alpha', 'Beta', 'gamma']);
  // The double click is an extra of the browser half, which loads when the browser is idle.
  await waitForHydration(page);
  await row(page, 'Beta').getByText('Enabled').dblclick();
  await seeTitle(page, 'Task: Beta');
});

test('commands change the checked rows, and report rows they could not change', async ({ page, hook }) => {
  test.setTimeout(60_000);
  await still(page);
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'one', 'Chat');
  await makeTask(page, hook, 'two', 'Chat');
  await makeEvent(page, hook, 'Power On', 'two');
  // The page is opened by a link of the menu.
  await page.getByRole('link', { name: 'Tasks', exact: true }).last().click();
  await seeTitle(page, 'Tasks');
  for (const name of ['Enable', 'Disable', 'Delete…']) await expect(command(page, name)).toBeDisabled();
  await page.getByLabel('Select one').check();
  await expect(page.getByText('1 selected')).toBeVisible();
  await page.getByLabel('Select all on this page').check();
  await expect(page.getByText('2 selected')).toBeVisible();
  await expect(page.getByLabel('Select two')).toBeChecked();
  await command(page, 'Disable').click();
  await expect(page.getByText('Disabled.', { exact: true })).toBeVisible();
  await expect(page.locator('tbody').getByText('Disabled')).toHaveCount(2);
  await waitForHydration(page);
  await expect(command(page, 'Disable')).toBeDisabled();

  await page.getByLabel('Select all on this page').check();
  await command(page, 'Delete…').click();
  const dialog = page.getByRole('dialog', { name: /^Delete the checked tasks/ });
  await dialog.getByRole('button', { name: 'Delete tasks' }).click();
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('The task two is used by');
  await expect(alert).toContainText('Done for 1, and not for 1.');
  await waitForHydration(page);
  await expect(names(page)).toHaveText(['two']);
  await alert.getByRole('link').click();
  await seeTitle(page, 'Event: Power On');

  await open(page, hook, '/webhooks/1');
  await command(page, 'Delete…').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete webhook' }).click();
  await expect(alert).toContainText('The webhook Chat is used by the task two. Nothing was deleted.');
  await expect(alert.getByRole('link')).toHaveText(['the task two']);
});

test('an open question stays open while the page updates', async ({ page, hook }) => {
  await listen(page);
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await open(page, hook, '/webhooks/1');
  // A stream begins with a message. Its fetch must be over before the question opens.
  await expect.poll(() => messages(page)).toBeGreaterThan(0);
  await expect(page.locator('#main > [data-before-message]')).toHaveCount(0);
  const dialog = page.getByRole('dialog');
  await command(page, 'Delete…').click();
  await expect(dialog).toBeVisible();
  const fetched: string[] = [];
  page.on('request', (request) => { if (isFetched(request)) fetched.push(request.url()); });
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'web-01' } });
  await expect.poll(() => fetched.length, 'the page follows').toBeGreaterThan(0);
  await expect(dialog).toBeVisible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toBeHidden();
});

test('executing a task by hand sends its message and adds a run to the log', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat', 'hello from ${NAME}');
  await open(page, hook, '/tasks/1');
  await expect(page.getByText('Never run')).toBeVisible();
  await command(page, 'Execute').click();
  await expect(page.getByText('Started. Its run is below, with the state of its delivery.')).toBeVisible();
  await waitForHydration(page);
  await expect.poll(() => hook.received().map((request) => request.body)).toEqual(['hello from "Tell"']);
  await expect(page.getByRole('main').getByText('Succeeded').first()).toBeVisible();
  await page.getByRole('link', { name: 'Task Logs' }).click();
  await seeTitle(page, 'Task Logs');
  await expect(row(page, 'Tell')).toContainText('Succeeded');
  await expect(row(page, 'Tell')).toContainText('maria');
  await row(page, 'Tell').getByRole('link', { name: 'Sent' }).click();
  await expect(page.getByText('Returned 200.')).toBeVisible();
});

test('a paused webhook holds deliveries, and sends them when resumed', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await open(page, hook, '/webhooks/1');
  await command(page, 'Pause').click();
  await expect(page.getByText('Paused. New deliveries are held, none is dropped.')).toBeVisible();
  await open(page, hook, '/tasks/1');
  await command(page, 'Execute').click();
  await expect(page.getByText('Started. Its run is below, with the state of its delivery.')).toBeVisible();
  await open(page, hook, '/webhooks/1');
  await expect(page.getByText(/since .* 1 delivery is held/)).toBeVisible();
  await expect(page.getByRole('main').getByRole('link', { name: 'Held' })).toBeVisible();
  expect(hook.received()).toEqual([]);
  await page.getByLabel('Which held deliveries go on').selectOption('Send all of them');
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(page.getByText('Resumed.')).toBeVisible();
  await expect.poll(() => hook.received().length).toBe(1);
  await waitForHydration(page);
  await expect(page.getByRole('main').getByRole('link', { name: 'Sent' })).toBeVisible();
});

test('a delivery shows request and response without the secret, and can be replayed', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill(`${hook.inbox}/status/503`);
  await field(page, 'Authorization Type').selectOption('Bearer');
  await field(page, 'Authorization Token').fill('canary-77aa');
  await field(page, 'Retries').fill('0');
  await save(page, 'Webhook: Chat');
  await makeTask(page, hook, 'Tell', 'Chat', '{"vm": "${NAME}"}');
  await makeEvent(page, hook, 'Power On', 'Tell');
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'web-01' } });
  await open(page, hook, '/deliveries');
  await row(page, 'web-01').getByRole('link', { name: 'Error' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Delivery of');
  const request = page.getByRole('region', { name: 'Request as text' });
  await expect(request).toContainText(`POST ${hook.inbox}/status/503`);
  await expect(request).toContainText('Content-Type: application/json');
  await expect(request).toContainText("Authorization: ••••••••");
  await expect(request).toContainText('{"vm": "web-01"}');
  await expect(page.getByRole('region', { name: 'Response as text' })).toContainText('503');
  expect(await page.content()).not.toContain('canary-77aa');
  await expect.poll(() => hook.received().length).toBe(1);
  expect(hook.received()[0].headers).toContainEqual(['Authorization', 'Bearer canary-77aa']);
  const chain = page.getByRole('list', { name: 'Where it comes from and goes' });
  await expect(chain.getByRole('link')).toHaveText(['Power On, web-01', /Power On/, 'Tell', 'Chat']);

  await expect(page).toHaveURL(/\/deliveries\/[^/?]+$/);
  const before = page.url();
  await command(page, 'Replay').click();
  await expect(page.getByText('Queued again. This is the new delivery.')).toBeVisible();
  await expect(page).not.toHaveURL(before);
  await expect.poll(() => hook.received().length).toBe(2);
  expect(hook.received()[1].body).toBe('{"vm": "web-01"}');
  await waitForHydration(page);
  await expect(page.getByRole('region', { name: 'Response as text' })).toContainText('503');
  await page.getByRole('link', { name: 'an earlier delivery' }).click();
  await expect(page).toHaveURL(before);
});

test('the dashboard updates by itself', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Good');
  await makeWebhook(page, hook, 'Bad', `${hook.inbox}/status/410`, '0');
  await makeTask(page, hook, 'Tell good', 'Good');
  await makeTask(page, hook, 'Tell bad', 'Bad');
  await makeEvent(page, hook, 'Power On', 'Tell good');
  await makeEvent(page, hook, 'Power Off', 'Tell bad');
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  await expect(page.getByText('Nothing has been sent yet.')).toBeVisible();
  await mark(page);
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'web-01' } });
  const recent = page.getByRole('region', { name: 'Recent deliveries' });
  await expect(recent.getByRole('row').filter({ hasText: 'web-01' })).toContainText('Sent');
  await hook.post({ type: 'vms', event: 'poweroff', object: { name: 'web-02' } });
  const failures = page.getByRole('region', { name: 'Recent failures' });
  await expect(failures).toContainText('Bad, Tell bad');
  await expect(page.getByRole('img', { name: /1 sent, 1 failed/ })).toBeVisible();
  expect(await isMarked(page)).toBe(true);
  // A fetch that was already running may close the table again.
  const hours = page.getByRole('table').filter({ hasText: 'Waiting' });
  await expect(async () => {
    if (!(await hours.isVisible())) await page.getByText('Show as table').click();
    expect(await hours.getByRole('row').count()).toBe(25);
  }).toPass();
  await failures.getByRole('link', { name: 'Bad, Tell bad' }).click();
  await expect(page.getByRole('region', { name: 'Response as text' })).toContainText('410');
});

/** Holds back the page that the first message of the stream makes the browser fetch, until released. */
async function hold(page: Page) {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*', async (route) => {
    if (isFetched(route.request())) await held;
    await route.continue();
  });
  return release;
}
async function arrive(page: Page, release: () => void) {
  const response = page.waitForResponse((response) => isFetched(response.request()));
  release();
  await (await response).finished();
  // The browser half changes the page before the next frames.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
}

test('a slow page is fetched once at a time, and again after changes during a fetch', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Good');
  await makeTask(page, hook, 'Tell', 'Good');
  await makeEvent(page, hook, 'Power On', 'Tell');
  let [underWay, most] = [0, 0];
  await page.route('**/*', async (route) => {
    if (!isFetched(route.request())) return route.continue();
    most = Math.max(most, (underWay += 1));
    // Longer than the interval between two messages of the stream.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    underWay -= 1;
    await route.continue();
  });
  await open(page, hook, '/deliveries');
  const requested = page.waitForRequest(isFetched);
  for (const [index, name] of ['web-01', 'web-02', 'web-03'].entries()) {
    await hook.post({ type: 'vms', event: 'poweron', object: { name } });
    await expect.poll(() => hook.received().length).toBe(index + 1);
    // The first fetch runs from here on. The other changes are announced within a second.
    await requested;
  }
  await expect(page.getByRole('row').filter({ hasText: 'web-03' })).toContainText('Sent');
  expect(most).toBe(1);
});

test('an opened filter stays open when an earlier fetch arrives', async ({ page, hook }) => {
  await page.setViewportSize({ width: 360, height: 800 });
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  const release = await hold(page);
  const requested = page.waitForRequest(isFetched);
  await open(page, hook, '/webhooks');
  await requested;
  await page.locator('.c-filter-button').click();
  await expect(page.getByLabel('Filter by name')).toBeVisible();
  await arrive(page, release);
  await expect(page.getByLabel('Filter by name')).toBeVisible();
});

test('a checked row stays checked when an earlier fetch arrives', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  const release = await hold(page);
  const requested = page.waitForRequest(isFetched);
  await open(page, hook, '/webhooks');
  await requested;
  await page.getByLabel('Select Chat').check();
  await arrive(page, release);
  await expect(page.getByLabel('Select Chat')).toBeChecked();
});

test('an open question stays open when an earlier fetch arrives', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  const release = await hold(page);
  const requested = page.waitForRequest(isFetched);
  await open(page, hook, '/webhooks/1');
  await requested;
  await page.getByRole('button', { name: 'Delete…' }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  await arrive(page, release);
  await expect(page.getByRole('dialog')).toBeVisible();
});

test('a live page whose stream a proxy has refused follows the changes again', async ({ page, hook }) => {
  await page.clock.install();
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await makeEvent(page, hook, 'Power On', 'Tell');
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'vm-0' } });
  await page.route('**/live', (route) => route.fulfill({ status: 403, contentType: 'text/html', body: 'Forbidden' }));
  const refused = page.waitForResponse((response) => response.url().endsWith('/live'));
  await open(page, hook, '/deliveries');
  await refused;
  await expect(page.getByText('Not live')).toBeVisible();
  await page.unroute('**/live');
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'vm-1' } });
  await expect.poll(() => hook.received().length).toBe(2);
  await page.clock.runFor(15_000);
  await expect(row(page, 'vm-1')).toContainText('Sent');
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
});

test('the result of a command does not stay on a live page', async ({ page, hook }) => {
  await page.clock.install();
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await open(page, hook, '/webhooks/1');
  await command(page, 'Pause').click();
  const notice = page.getByText('Paused. New deliveries are held, none is dropped.');
  await expect(notice).toBeVisible();
  await waitForHydration(page);
  await page.clock.runFor(10_000);
  await expect(page).toHaveURL(/\/webhooks\/1$/);
  await execute(page, hook);
  await expect(notice).toHaveCount(0);
  await expect(page.getByText('Paused since')).toBeVisible();
});

test('a live page changes beside a table under the pointer', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await makeEvent(page, hook, 'Power On', 'Tell');
  await hook.post({ type: 'vms', event: 'poweron', object: { name: 'vm-1' } });
  await expect.poll(() => hook.received().length).toBe(1);
  await open(page, hook, '/webhooks/1');
  await row(page, 'vm-1').hover();
  const other = await page.context().newPage();
  await open(other, hook, '/webhooks/1');
  await command(other, 'Pause').click();
  await expect(other.getByText('Paused since')).toBeVisible();
  await other.close();
  await expect(page.getByText('Paused since')).toBeVisible();
});

test('a live list under twenty changes a second keeps checks, focus and scroll position', async ({ page, hook }) => {
  await page.setViewportSize({ width: 1280, height: 500 });
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await makeEvent(page, hook, 'Power On', 'Tell');
  let count = 0;
  const happen = () => hook.post({ type: 'vms', event: 'poweron', object: { name: `vm-${count += 1}` } });
  for (let i = 0; i < 40; i += 1) await happen();
  await expect.poll(() => hook.received().length).toBe(40);
  await open(page, hook, '/deliveries');
  await expect(row(page, 'vm-40')).toContainText('Sent');
  await row(page, 'vm-30').getByRole('checkbox').check();
  const filter = page.getByLabel('Filter by object');
  await filter.fill('vm');
  await page.evaluate(() => scrollTo(0, 300));
  const position = await page.evaluate(() => scrollY);
  expect(position).toBeGreaterThan(0);
  const order = () => page.locator('tbody tr').evaluateAll((rows) => rows.map((one) => one.id));
  const before = await order();
  for (let i = 0; i < 40; i += 1) {
    await Promise.all([happen(), new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  const newer = page.getByRole('button', { name: '40 newer' });
  await expect(newer).toBeVisible();
  expect(await order()).toEqual(before);
  await expect(row(page, 'vm-30').getByRole('checkbox')).toBeChecked();
  await expect(filter).toBeFocused();
  await expect(filter).toHaveValue('vm');
  expect(await page.evaluate(() => scrollY)).toBe(position);
  await expect(page.getByText('1 selected')).toBeVisible();
  await expect(page.getByLabel('Select all on this page')).toHaveJSProperty('indeterminate', true);

  await newer.click();
  await expect(row(page, 'vm-80')).toContainText('Sent');
  await expect(row(page, 'vm-40').getByRole('checkbox')).not.toBeChecked();
  await expect(filter).toHaveValue('vm');
});

test('leaving a form with unsaved input asks first, and Back restores the input', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  page.removeAllListeners('dialog');
  const asked: string[] = [];
  let stays = true;
  page.on('dialog', async (dialog) => { asked.push(dialog.type()); await (stays ? dialog.dismiss() : dialog.accept()); });

  await open(page, hook, '/tasks/new');
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  expect(asked, 'nothing was typed').toEqual([]);

  await open(page, hook, '/tasks/new');
  await field(page, 'Name').fill('half');
  await field(page, 'Message').fill('typed ${NAME}');
  await field(page, 'Object').selectOption('Chat');
  await field(page, 'Delete Task After Running').check();
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await expect.poll(() => asked).toEqual(['beforeunload']);
  await seeTitle(page, 'New Task');
  await expect(field(page, 'Name')).toHaveValue('half');

  stays = false;
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  await page.goBack();
  await seeTitle(page, 'New Task');
  await waitForHydration(page);
  await expect(field(page, 'Name')).toHaveValue('half');
  await expect(field(page, 'Message')).toHaveValue('typed ${NAME}');
  await expect(field(page, 'Object').locator('option:checked')).toHaveText('Chat');
  await expect(field(page, 'Delete Task After Running')).toBeChecked();
  await expect(page.getByRole('region', { name: 'Preview' }), 'and the form knows it').toContainText('typed "web-01"');

  // A form outside the page's content takes no input with it.
  asked.length = 0;
  stays = true;
  await page.getByRole('button', { name: 'Theme' }).click();
  await page.getByRole('button', { name: 'Dark' }).click();
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await expect.poll(() => asked).toEqual(['beforeunload']);
  stays = false;

  asked.length = 0;
  await save(page, 'Task: half');
  await open(page, hook, '/objects/new');
  await field(page, 'Name').fill('web-01');
  stays = true;
  await page.getByRole('link', { name: 'Cancel' }).click();
  await expect.poll(() => asked, 'a plain form asks too').toEqual(['beforeunload']);
  await page.getByRole('button', { name: 'Submit' }).click();
  await seeTitle(page, 'web-01');
  expect(asked).toEqual(['beforeunload']);
});

test('Enter in the checkbox of a row runs no command', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await open(page, hook, '/webhooks');
  const check = page.getByLabel('Select Chat');
  await check.check();
  await check.press('Enter');
  await expect(check).toBeChecked();
  await page.reload();
  await expect(names(page)).toHaveText(['Chat']);
  await expect(page).toHaveURL(/\/webhooks$/);
});
