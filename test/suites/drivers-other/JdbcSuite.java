import java.io.PrintStream;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs pgjdbc's own test classes, named as arguments, and prints one line per test: result, name,
 * first line of the error. Arguments `-Class.method` are tests to leave out.
 */
public final class JdbcSuite implements TestExecutionListener {
  private final PrintStream out;

  private JdbcSuite(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] args) {
    PrintStream out = System.out;
    // what the tests themselves print is not the report
    System.setOut(System.err);
    Set<String> left = Arrays.stream(args).filter(arg -> arg.startsWith("-"))
        .map(arg -> arg.substring(1)).collect(Collectors.toSet());
    PostDiscoveryFilter wanted = test -> FilterResult.includedIf(!(test.getSource().orElse(null)
        instanceof MethodSource method) || !left.contains(nameOf(method)));
    LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
        .selectors(Arrays.stream(args).filter(arg -> !arg.startsWith("-"))
            .map(DiscoverySelectors::selectClass).toList())
        .filters(wanted)
        .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
        .configurationParameter("junit.jupiter.execution.timeout.default", "60 s")
        .build();
    LauncherFactory.create().execute(request, new JdbcSuite(out));
    out.flush();
    System.exit(0);
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    print("skip", test, reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    switch (result.getStatus()) {
      case SUCCESSFUL -> {
        if (test.isTest()) print("pass", test, "");
      }
      case ABORTED -> print("skip", test, "");
      default -> print("fail", test, String.valueOf(result.getThrowable().orElse(null)));
    }
  }

  private void print(String result, TestIdentifier test, String detail) {
    String name = test.getSource().map(source -> {
      if (source instanceof MethodSource method) return nameOf(method);
      if (source instanceof ClassSource of) return simple(of.getClassName());
      return test.getDisplayName();
    }).orElse(test.getDisplayName());
    // which set of parameters, of a class and of a method
    String invocations = Arrays.stream(test.getUniqueId().split("/"))
        .filter(part -> part.contains("-invocation:"))
        .map(part -> part.replaceAll("[^#]*#(\\d+).*", " #$1"))
        .collect(Collectors.joining());
    String line = detail.lines().findFirst().orElse("");
    out.println(result + "\t" + name + invocations + "\t" + line);
  }

  private static String nameOf(MethodSource method) {
    return simple(method.getClassName()) + "." + method.getMethodName();
  }

  private static String simple(String className) {
    return className.replace("org.postgresql.", "").replaceFirst("^test\\.", "");
  }
}
