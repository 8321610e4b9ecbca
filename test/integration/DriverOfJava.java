import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

/** What Java programs do with pgjdbc and its default settings; the JDBC URL is the argument. */
public final class DriverOfJava {
  private final String url;
  private final String user;
  private final String password;

  private DriverOfJava(String[] args) {
    url = args[0];
    user = args[1];
    password = args[2];
  }

  public static void main(String[] args) throws Exception {
    DriverOfJava driver = new DriverOfJava(args);
    driver.types();
    driver.preparedOnTheServer();
    driver.transactions();
    driver.autosave();
    driver.cursors();
    driver.batches("");
    driver.batches("&reWriteBatchedInserts=true");
    driver.copies();
    driver.largeObjects();
    driver.notifications();
    driver.cancels();
    driver.readOnly();
    driver.generatedKeysAndCalls();
    driver.changedResultType();
    driver.manyAtOnce();
    System.out.println("pgjdbc ok");
  }

  private Connection connect(String more) throws SQLException {
    return DriverManager.getConnection(url + "?ApplicationName=java" + more, user, password);
  }

  private static void same(Object expected, Object actual) {
    if (!expected.equals(actual)) throw new AssertionError("expected " + expected + ", got " + actual);
  }

  private static void failsWith(String sqlState, Action action) throws Exception {
    try {
      action.run();
    } catch (SQLException error) {
      same(sqlState, error.getSQLState());
      return;
    }
    throw new AssertionError("no error, expected " + sqlState);
  }

  private interface Action {
    void run() throws Exception;
  }

  private static int number(Connection db, String sql) throws SQLException {
    try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
      rows.next();
      return rows.getInt(1);
    }
  }

  private static void run(Connection db, String sql) throws SQLException {
    try (Statement statement = db.createStatement()) {
      statement.execute(sql);
    }
  }

  private void types() throws Exception {
    try (Connection db = connect("");
        PreparedStatement all = db.prepareStatement("SELECT ?::int8, ?::numeric, ?::bool, ?::bytea, ?::uuid,"
            + " ?::timestamptz, ?::date, ?::int[], ?::text, ?::float8, ?::jsonb, NULL::int")) {
      UUID uuid = UUID.randomUUID();
      OffsetDateTime at = OffsetDateTime.of(2026, 11, 22, 1, 2, 3, 0, ZoneOffset.UTC);
      Array list = db.createArrayOf("int4", new Integer[] {1, null, 3});
      // the sixth run is prepared on the server, and its values come in binary
      for (int i = 0; i < 12; i++) {
        all.setLong(1, Long.MIN_VALUE + i);
        all.setBigDecimal(2, new BigDecimal("12345678901234567890.123"));
        all.setBoolean(3, true);
        all.setBytes(4, new byte[] {0, 1, -1});
        all.setObject(5, uuid);
        all.setObject(6, at);
        all.setObject(7, LocalDate.of(1999, 12, 31));
        all.setArray(8, list);
        all.setString(9, "ä€😀'\\");
        all.setDouble(10, 0.1);
        all.setString(11, "{\"a\": [1]}");
        try (ResultSet row = all.executeQuery()) {
          row.next();
          same(Long.MIN_VALUE + i, row.getLong(1));
          same(new BigDecimal("12345678901234567890.123"), row.getBigDecimal(2));
          same(true, row.getBoolean(3));
          same("[0, 1, -1]", Arrays.toString(row.getBytes(4)));
          same(uuid, row.getObject(5));
          same(at, row.getObject(6, OffsetDateTime.class));
          same(LocalDate.of(1999, 12, 31), row.getObject(7, LocalDate.class));
          same("[1, null, 3]", Arrays.toString((Object[]) row.getArray(8).getArray()));
          same("ä€😀'\\", row.getString(9));
          same(0.1, row.getDouble(10));
          same("{\"a\": [1]}", row.getString(11));
          row.getInt(12);
          same(true, row.wasNull());
        }
      }
    }
  }

  private void preparedOnTheServer() throws Exception {
    try (Connection db = connect("")) {
      run(db, "CREATE TABLE of_java (id int PRIMARY KEY, name text)");
      try (PreparedStatement add = db.prepareStatement("INSERT INTO of_java VALUES (?, ?)");
          PreparedStatement get = db.prepareStatement("SELECT name FROM of_java WHERE id = ?")) {
        for (int i = 0; i < 30; i++) {
          add.setInt(1, i);
          add.setString(2, "n" + i);
          same(1, add.executeUpdate());
          get.setInt(1, i);
          try (ResultSet rows = get.executeQuery()) {
            same(true, rows.next());
            same("n" + i, rows.getString(1));
          }
        }
        add.setInt(1, 3);
        failsWith("23505", add::executeUpdate);
      }
      same(30, number(db, "SELECT count(*) FROM of_java"));
    }
  }

  private void transactions() throws Exception {
    try (Connection db = connect("")) {
      run(db, "CREATE TABLE of_java_tx (id int PRIMARY KEY)");
      db.setAutoCommit(false);
      run(db, "INSERT INTO of_java_tx VALUES (1)");
      Savepoint point = db.setSavepoint("point");
      run(db, "INSERT INTO of_java_tx VALUES (2)");
      failsWith("23505", () -> run(db, "INSERT INTO of_java_tx VALUES (1)"));
      failsWith("25P02", () -> number(db, "SELECT 1"));
      db.rollback(point);
      same(1, number(db, "SELECT count(*) FROM of_java_tx"));
      db.releaseSavepoint(point);
      db.commit();
      db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      same(1, number(db, "SELECT count(*) FROM of_java_tx WHERE current_setting('transaction_isolation') = 'serializable'"));
      run(db, "INSERT INTO of_java_tx VALUES (9)");
      db.rollback();
      db.setAutoCommit(true);
      same(1, number(db, "SELECT count(*) FROM of_java_tx"));
    }
  }

  private void autosave() throws Exception {
    try (Connection db = connect("&autosave=always")) {
      run(db, "CREATE TABLE of_java_save (id int PRIMARY KEY)");
      db.setAutoCommit(false);
      run(db, "INSERT INTO of_java_save VALUES (1)");
      failsWith("23505", () -> run(db, "INSERT INTO of_java_save VALUES (1)"));
      run(db, "INSERT INTO of_java_save VALUES (2)");
      db.commit();
      same(2, number(db, "SELECT count(*) FROM of_java_save"));
      db.commit();
    }
  }

  private void cursors() throws Exception {
    try (Connection db = connect("")) {
      db.setAutoCommit(false);
      try (Statement statement = db.createStatement()) {
        statement.setFetchSize(100);
        long sum = 0;
        try (ResultSet rows = statement.executeQuery("SELECT g FROM generate_series(1, 2500) AS g")) {
          while (rows.next()) {
            sum += rows.getInt(1);
            if (rows.getInt(1) % 500 == 0) number(db, "SELECT 1");
          }
        }
        same(2500L * 2501 / 2, sum);
      }
      db.commit();
    }
  }

  private void batches(String more) throws Exception {
    try (Connection db = connect(more)) {
      run(db, "DROP TABLE IF EXISTS of_java_batch; CREATE TABLE of_java_batch (id int PRIMARY KEY, name text)");
      try (PreparedStatement add = db.prepareStatement("INSERT INTO of_java_batch VALUES (?, ?)")) {
        for (int i = 0; i < 700; i++) {
          add.setInt(1, i);
          add.setString(2, "name " + i);
          add.addBatch();
        }
        same(700, add.executeBatch().length);
        for (int id : new int[] {1000, 1001, 1000}) {
          add.setInt(1, id);
          add.setString(2, "x");
          add.addBatch();
        }
        failsWith("23505", add::executeBatch);
      }
      same(700, number(db, "SELECT count(*) FROM of_java_batch"));
    }
  }

  private void copies() throws Exception {
    try (Connection db = connect("")) {
      run(db, "CREATE TABLE of_java_copy (id int, name text)");
      CopyManager copy = db.unwrap(PGConnection.class).getCopyAPI();
      StringBuilder lines = new StringBuilder();
      for (int i = 0; i < 5000; i++) lines.append(i).append("\tname ").append(i).append('\n');
      same(5000L, copy.copyIn("COPY of_java_copy FROM STDIN", new StringReader(lines.toString())));
      StringWriter out = new StringWriter();
      same(5000L, copy.copyOut("COPY (SELECT * FROM of_java_copy ORDER BY id) TO STDOUT", out));
      same(lines.toString(), out.toString());
      failsWith("22P02", () -> copy.copyIn("COPY of_java_copy FROM STDIN", new StringReader("x\ty\n")));
      same(5000, number(db, "SELECT count(*) FROM of_java_copy"));
    }
  }

  private void largeObjects() throws Exception {
    try (Connection db = connect("")) {
      db.setAutoCommit(false);
      LargeObjectManager manager = db.unwrap(PGConnection.class).getLargeObjectAPI();
      long id = manager.createLO();
      byte[] text = "a large object ".repeat(5000).getBytes(StandardCharsets.UTF_8);
      try (LargeObject object = manager.open(id, LargeObjectManager.READWRITE)) {
        object.write(text);
        object.seek(2);
        same("large", new String(object.read(5), StandardCharsets.UTF_8));
        same((long) text.length, object.size64());
      }
      db.commit();
      try (LargeObject object = manager.open(id, LargeObjectManager.READ)) {
        same(text.length, object.read(1 << 20).length);
      }
      manager.delete(id);
      db.commit();
    }
  }

  private void notifications() throws Exception {
    try (Connection ear = connect(""); Connection mouth = connect("")) {
      run(ear, "LISTEN news_of_java");
      run(mouth, "NOTIFY news_of_java, 'hello'");
      PGNotification[] heard = ear.unwrap(PGConnection.class).getNotifications(10_000);
      same("hello", heard[0].getParameter());
      run(ear, "UNLISTEN news_of_java");
    }
  }

  private void cancels() throws Exception {
    try (Connection db = connect(""); Statement slow = db.createStatement()) {
      CompletableFuture<Void> cancelled = CompletableFuture.runAsync(() -> {
        try {
          Thread.sleep(300);
          slow.cancel();
        } catch (Exception error) {
          throw new IllegalStateException(error);
        }
      });
      failsWith("57014", () -> slow.executeQuery("SELECT pg_sleep(30)"));
      cancelled.get();
      slow.setQueryTimeout(1);
      failsWith("57014", () -> slow.executeQuery("SELECT pg_sleep(30)"));
      same(1, number(db, "SELECT 1"));
    }
  }

  private void readOnly() throws Exception {
    try (Connection db = connect("")) {
      db.setReadOnly(true);
      same(30, number(db, "SELECT count(*) FROM of_java"));
      db.setAutoCommit(false);
      same(30, number(db, "SELECT count(*) FROM of_java"));
      failsWith("25006", () -> run(db, "DELETE FROM of_java"));
      db.rollback();
      db.setReadOnly(false);
      run(db, "DELETE FROM of_java WHERE id = 29");
      db.commit();
      same(29, number(db, "SELECT count(*) FROM of_java"));
      db.rollback();
    }
  }

  private void generatedKeysAndCalls() throws Exception {
    try (Connection db = connect("")) {
      run(db, "CREATE TABLE of_java_key (id serial PRIMARY KEY, at timestamp DEFAULT now());"
          + " CREATE PROCEDURE of_java_add(n int) LANGUAGE sql AS"
          + " 'INSERT INTO of_java_key (id) SELECT g FROM generate_series(100, 99 + n) AS g';");
      try (PreparedStatement add = db.prepareStatement("INSERT INTO of_java_key DEFAULT VALUES", Statement.RETURN_GENERATED_KEYS)) {
        for (int i = 1; i < 10; i++) {
          add.executeUpdate();
          try (ResultSet keys = add.getGeneratedKeys()) {
            keys.next();
            same(i, keys.getInt("id"));
            same(true, keys.getTimestamp("at").after(new Timestamp(0)));
          }
        }
      }
      try (var call = db.prepareCall("CALL of_java_add(?)")) {
        call.setInt(1, 5);
        call.execute();
      }
      try (var call = db.prepareCall("{? = call upper(?)}")) {
        call.registerOutParameter(1, java.sql.Types.VARCHAR);
        call.setString(2, "abc");
        call.execute();
        same("ABC", call.getString(1));
      }
      same(14, number(db, "SELECT count(*) FROM of_java_key"));
      try (ResultSet columns = db.getMetaData().getColumns(null, "public", "of_java_key", null)) {
        columns.next();
        same("id", columns.getString("COLUMN_NAME"));
      }
    }
  }

  private void changedResultType() throws Exception {
    try (Connection db = connect(""); Connection other = connect("")) {
      run(db, "CREATE TABLE of_java_ddl (id int)");
      run(db, "INSERT INTO of_java_ddl VALUES (1)");
      try (PreparedStatement all = db.prepareStatement("SELECT * FROM of_java_ddl")) {
        for (int i = 0; i < 10; i++) {
          // at the eighth run the statement has long been prepared on the server
          if (i == 7) run(other, "ALTER TABLE of_java_ddl ADD COLUMN name text DEFAULT 'x'");
          try (ResultSet rows = all.executeQuery()) {
            rows.next();
            same(1, rows.getInt(1));
            same(i < 7 ? 1 : 2, rows.getMetaData().getColumnCount());
          }
        }
      }
    }
  }

  private void manyAtOnce() throws Exception {
    CompletableFuture<?>[] all = new CompletableFuture<?>[8];
    for (int n = 0; n < all.length; n++) {
      int own = n;
      all[n] = CompletableFuture.runAsync(() -> {
        try (Connection db = connect("");
            PreparedStatement get = db.prepareStatement("SELECT ?::int + ? + (SELECT count(*)::int FROM of_java)")) {
          for (int i = 0; i < 100; i++) {
            get.setInt(1, own);
            get.setInt(2, i);
            try (ResultSet rows = get.executeQuery()) {
              rows.next();
              same(own + i + 29, rows.getInt(1));
            }
          }
        } catch (SQLException error) {
          throw new IllegalStateException(error);
        }
      });
    }
    CompletableFuture.allOf(all).get();
  }
}
